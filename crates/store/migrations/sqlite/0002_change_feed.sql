-- Nothing is kept: the writing connection captures what it changes, in temporary tables of its own.
SELECT 1;
