-- Sessions say when they were last used, when they end for want of use, and where they come from.
ALTER TABLE portreeve.sessions
  ADD COLUMN "used" timestamptz,
  ADD COLUMN "idle_expires" timestamptz,
  ADD COLUMN "kind" text COLLATE "C" NOT NULL DEFAULT 'session',
  ADD COLUMN "face" text COLLATE "C",
  ADD COLUMN "address" text COLLATE "C",
  ADD COLUMN "agent" text COLLATE "C",
  -- Whether a change of what its account is bound to ends it.
  ADD COLUMN "ends_with_roles" bool NOT NULL DEFAULT false;
UPDATE portreeve.sessions SET "used" = "created";
ALTER TABLE portreeve.sessions ALTER COLUMN "used" SET NOT NULL;

-- A session can have several tokens, each with an end of its own.
ALTER TABLE portreeve.session_tokens DROP CONSTRAINT session_tokens_session_key;
ALTER TABLE portreeve.session_tokens
  ADD COLUMN "expires" timestamptz,
  -- Since when another one has taken its place.
  ADD COLUMN "renewed" timestamptz;
CREATE INDEX session_tokens_session ON portreeve.session_tokens ("session");
CREATE INDEX session_tokens_expires ON portreeve.session_tokens ("expires");
CREATE TRIGGER session_tokens_ended AFTER UPDATE OR DELETE ON portreeve.session_tokens
  FOR EACH STATEMENT EXECUTE FUNCTION portreeve.sessions_ended();

-- The one refresh token of a session that is good, and the one before it. Any other of its family has been used before.
CREATE TABLE portreeve.refresh_tokens (
  "family_hash" bytea NOT NULL PRIMARY KEY,
  "session" text COLLATE "C" NOT NULL UNIQUE REFERENCES portreeve.sessions ("id") ON DELETE CASCADE,
  "generation" int8 NOT NULL,
  "token_hash" bytea NOT NULL,
  "previous_hash" bytea,
  -- When the previous one was used.
  "rotated" timestamptz,
  "expires" timestamptz NOT NULL
);

-- Keys that the product makes for itself.
CREATE TABLE portreeve.secrets (
  "name" text COLLATE "C" NOT NULL PRIMARY KEY,
  "value" text COLLATE "C" NOT NULL,
  "created" timestamptz NOT NULL
);
