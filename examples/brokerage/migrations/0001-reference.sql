-- What all brokers read and none writes: insurers, lines of business, and what an insurer pays for which line.
--
-- Invented; none of them is a real company. Rows come with the migration, so that every database of the fleet has the
-- same ones: shared databases, and the templates from which brokers' own databases are copied.
-- rowhouse: reference carrier, line, commission_rate

create table line (
  code text primary key check (code ~ '^[A-Z]{2,6}$'),
  name text not null
);

create table carrier (
  code text primary key check (code ~ '^[A-Z]{3}$'),
  name text not null,
  country text not null
);

create table commission_rate (
  carrier_code text not null references carrier (code),
  line_code text not null references line (code),
  new_percent numeric(5, 2) not null check (new_percent between 0 and 40),
  renewal_percent numeric(5, 2) not null check (renewal_percent between 0 and 40),
  primary key (carrier_code, line_code)
);

insert into line (code, name) values
  ('PROP', 'Commercial property'),
  ('LIAB', 'General liability'),
  ('FLEET', 'Motor fleet'),
  ('CARGO', 'Marine cargo'),
  ('CYBER', 'Cyber'),
  ('DO', 'Directors and officers');

insert into carrier (code, name, country) values
  ('ALB', 'Albany Mutual', 'United Kingdom'),
  ('BRC', 'Borealis Casualty', 'Norway'),
  ('CTP', 'Citadel Property', 'Netherlands'),
  ('FNX', 'Fenix General', 'Spain'),
  ('HRZ', 'Horizon Re', 'Switzerland'),
  ('LYS', 'Lys Assurances', 'France'),
  ('MRD', 'Meridian Marine', 'Germany'),
  ('OAK', 'Oakline Insurance', 'Ireland');

-- Every insurer writes every line; cargo and cyber pay more, and an insurer's place in the list moves it by half points.
insert into commission_rate (carrier_code, line_code, new_percent, renewal_percent)
select c.code, l.code, 12 + l.extra + c.place * 0.5, 9 + l.extra + c.place * 0.5
  from (select code, row_number() over (order by code) as place from carrier) c,
       (select code, case code when 'CARGO' then 3 when 'CYBER' then 5 when 'DO' then 2 else 0 end as extra from line) l;
