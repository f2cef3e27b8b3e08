-- The weakened twins of the attack laboratory: the same rows behind weaker walls, as the control that shows that the
-- attacks are real. Owned by the operator's login, reached by a login of their own, and never
-- applied by anything but the demonstration, which removes them when it stops.
--
-- `open_shipment`: no policy at all; the application is trusted to add WHERE tenant_id = …
-- `setting_shipment`: row-level security the usual way, on a plain setting that any statement may change.

drop schema if exists lab cascade;
create schema lab;

create table lab.open_shipment (
  tenant_id uuid not null,
  number text not null,
  status text not null,
  origin text not null,
  destination text not null,
  primary key (tenant_id, number)
);

create table lab.setting_shipment (like lab.open_shipment including all);
alter table lab.setting_shipment enable row level security;
create policy usual on lab.setting_shipment
  using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
