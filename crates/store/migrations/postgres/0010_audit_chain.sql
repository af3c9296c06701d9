-- The audit trail is sealed by a chain: each seal holds a digest of its line and a hash over the seal before it. What is
-- written in a change's own transaction is only the number of its line; sealing comes a moment later, one at a time.
CREATE TABLE portreeve.audit_seals (
  "position" int8 PRIMARY KEY,
  "line" int8 NOT NULL UNIQUE,
  "content" text COLLATE "C" NOT NULL,
  "hash" text COLLATE "C" NOT NULL
);

-- Lines that wait for their seal. A line that is neither here nor sealed was not written by the product.
CREATE TABLE portreeve.audit_unsealed (
  "line" int8 PRIMARY KEY
);
INSERT INTO portreeve.audit_unsealed ("line") SELECT "id" FROM portreeve.audit;

-- One row: the last seal, so that an end that is cut off is missed.
CREATE TABLE portreeve.audit_head (
  "one" int8 PRIMARY KEY CHECK ("one" = 1),
  "position" int8 NOT NULL,
  "hash" text COLLATE "C" NOT NULL
);
INSERT INTO portreeve.audit_head ("one", "position", "hash")
  VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

-- What was denied, for whoever may have it explained. Nothing of a record and nothing that was sent, but for its key.
CREATE TABLE portreeve.decisions (
  "id" text COLLATE "C" NOT NULL PRIMARY KEY,
  "at" timestamptz NOT NULL,
  "decision" text COLLATE "C" NOT NULL
);
CREATE INDEX decisions_at ON portreeve.decisions ("at");
