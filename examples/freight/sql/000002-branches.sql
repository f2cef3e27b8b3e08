-- Rows of these tables belong to a branch as well: whoever works for one sees the rows of that one.

select rowhouse.protect('quote', true);
select rowhouse.protect('shipment', true);
select rowhouse.protect('container', true);
select rowhouse.protect('leg', true);
select rowhouse.protect('document', true);
select rowhouse.protect('invoice', true);
select rowhouse.protect('invoice_line', true);
select rowhouse.protect('event', true);
