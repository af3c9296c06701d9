-- One record and what it relates to, shown to whoever opens it, as far as its creator may read it.
CREATE TABLE portreeve.shares (
  "id" text COLLATE "C" NOT NULL PRIMARY KEY,
  "name" text COLLATE "C" NOT NULL,
  "collection" text COLLATE "C" NOT NULL,
  "record" text COLLATE "C" NOT NULL,
  -- What it is narrowed to: a role, or a list of fields.
  "role" text COLLATE "C",
  "fields" json,
  "protected" bool NOT NULL,
  "from" timestamptz,
  "until" timestamptz,
  "max_uses" int8 CHECK ("max_uses" > 0),
  "times_used" int8 NOT NULL,
  "created_by" text COLLATE "C" NOT NULL REFERENCES portreeve.users ("id") ON DELETE CASCADE,
  "created" timestamptz NOT NULL,
  CHECK (("role" IS NULL) <> ("fields" IS NULL)),
  CHECK ("max_uses" IS NULL OR "times_used" <= "max_uses")
);
CREATE INDEX shares_created_by ON portreeve.shares ("created_by", "id");

-- Passwords are in no collection, nor are the tokens of those who have opened a share.
CREATE TABLE portreeve.share_passwords (
  "share" text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES portreeve.shares ("id") ON DELETE CASCADE,
  "password_hash" text COLLATE "C" NOT NULL
);

CREATE TABLE portreeve.share_tokens (
  "token_hash" bytea NOT NULL PRIMARY KEY,
  "share" text COLLATE "C" NOT NULL REFERENCES portreeve.shares ("id") ON DELETE CASCADE,
  "created" timestamptz NOT NULL,
  "expires" timestamptz NOT NULL
);
CREATE INDEX share_tokens_share ON portreeve.share_tokens ("share", "created");
CREATE INDEX share_tokens_expires ON portreeve.share_tokens ("expires");

-- For each row, or each opening of a share would tell all nodes to forget who is signed in.
CREATE TRIGGER shares_ended AFTER DELETE ON portreeve.shares
  FOR EACH ROW EXECUTE FUNCTION portreeve.sessions_ended();
CREATE TRIGGER share_tokens_ended AFTER DELETE ON portreeve.share_tokens
  FOR EACH ROW EXECUTE FUNCTION portreeve.sessions_ended();
