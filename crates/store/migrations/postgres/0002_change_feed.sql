-- What was changed in collections, for the change feed of every node: written by triggers in the transaction that changes
-- it, read in the order of "seq", and forgotten soon.

CREATE TABLE portreeve.changes (
  "seq" int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  "at" timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- The policy whose catalog the table is from.
  "version" int8 NOT NULL,
  "transaction" int8 NOT NULL DEFAULT pg_current_xact_id()::text::int8,
  -- None of a row that says that something has changed which is not told record by record.
  "schema" text COLLATE "C",
  "table" text COLLATE "C",
  "before" json,
  "after" json
);

-- One row. Changes are written down while somebody on some node listens, who says so again and again.
CREATE TABLE portreeve.feed (
  "one" int8 PRIMARY KEY CHECK ("one" = 1),
  "heard_until" timestamptz NOT NULL,
  -- Up to this number nothing is kept any more.
  "tidied" int8 NOT NULL,
  -- What all nodes make the ids of events with.
  "secret" bytea NOT NULL
);
INSERT INTO portreeve.feed ("one", "heard_until", "tidied", "secret")
  VALUES (1, '2000-01-01T00:00:00Z', 0, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- On every table of a collection. A change of tables is none of their records, and is made in silence.
CREATE FUNCTION portreeve.capture() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  was json;
  now_is json;
BEGIN
  IF coalesce(current_setting('portreeve.silent', true), '') = 'on'
    OR NOT EXISTS (SELECT FROM portreeve.feed WHERE heard_until > clock_timestamp())
  THEN
    RETURN NULL;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    was := row_to_json(OLD);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    now_is := row_to_json(NEW);
  END IF;
  IF was::text = now_is::text THEN
    RETURN NULL;
  END IF;
  INSERT INTO portreeve.changes ("version", "schema", "table", "before", "after")
    SELECT "version", TG_TABLE_SCHEMA, TG_TABLE_NAME, was, now_is FROM portreeve.policy;
  PERFORM pg_notify('portreeve', 'changes');
  RETURN NULL;
END $$;

-- Nobody is told of changes of accounts, but rules read them.
CREATE TRIGGER portreeve_changes AFTER INSERT OR UPDATE OR DELETE ON portreeve.users
  FOR EACH ROW EXECUTE FUNCTION portreeve.capture();
