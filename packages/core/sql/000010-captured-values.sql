--! rowhouse schema 10: captured keys say the same whoever writes
--
-- A key is written down as JSON in the session of whoever changes the row, and looked up in the mover's. Without these, a
-- float is rounded by extra_float_digits, and a range of dates or an interval is read as another one where DateStyle or
-- IntervalStyle differ: the change would be looked for at another key.

set local role rowhouse_owner;

alter function rowhouse.capture_key() set timezone = 'UTC';
alter function rowhouse.capture_key() set datestyle = 'ISO, MDY';
alter function rowhouse.capture_key() set intervalstyle = 'postgres';
alter function rowhouse.capture_key() set extra_float_digits = 1;
alter function rowhouse.capture_key() set bytea_output = 'hex';
alter function rowhouse.capture_key() set lc_monetary = 'C';

reset role;
