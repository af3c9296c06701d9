-- Sessions say when they were last used, when they end for want of use, and where they come from.
ALTER TABLE "portreeve_sessions" ADD COLUMN "used" INTEGER NOT NULL DEFAULT 0;
ALTER TABLE "portreeve_sessions" ADD COLUMN "idle_expires" INTEGER;
ALTER TABLE "portreeve_sessions" ADD COLUMN "kind" TEXT NOT NULL DEFAULT 'session';
ALTER TABLE "portreeve_sessions" ADD COLUMN "face" TEXT;
ALTER TABLE "portreeve_sessions" ADD COLUMN "address" TEXT;
ALTER TABLE "portreeve_sessions" ADD COLUMN "agent" TEXT;
-- Whether a change of what its account is bound to ends it.
ALTER TABLE "portreeve_sessions" ADD COLUMN "ends_with_roles" INTEGER NOT NULL DEFAULT 0 CHECK ("ends_with_roles" IN (0, 1));
UPDATE "portreeve_sessions" SET "used" = "created";

-- A session can have several tokens, each with an end of its own.
CREATE TABLE "portreeve_session_tokens_new" (
  "token_hash" BLOB NOT NULL PRIMARY KEY,
  "session" TEXT NOT NULL REFERENCES "portreeve_sessions" ("id") ON DELETE CASCADE,
  "expires" INTEGER,
  -- Since when another one has taken its place.
  "renewed" INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO "portreeve_session_tokens_new" ("token_hash", "session")
  SELECT "token_hash", "session" FROM "portreeve_session_tokens";
DROP TABLE "portreeve_session_tokens";
ALTER TABLE "portreeve_session_tokens_new" RENAME TO "portreeve_session_tokens";
CREATE INDEX "portreeve_session_tokens_session" ON "portreeve_session_tokens" ("session");
CREATE INDEX "portreeve_session_tokens_expires" ON "portreeve_session_tokens" ("expires");

-- The one refresh token of a session that is good, and the one before it. Any other of its family has been used before.
CREATE TABLE "portreeve_refresh_tokens" (
  "family_hash" BLOB NOT NULL PRIMARY KEY,
  "session" TEXT NOT NULL UNIQUE REFERENCES "portreeve_sessions" ("id") ON DELETE CASCADE,
  "generation" INTEGER NOT NULL,
  "token_hash" BLOB NOT NULL,
  "previous_hash" BLOB,
  -- When the previous one was used.
  "rotated" INTEGER,
  "expires" INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys that the product makes for itself.
CREATE TABLE "portreeve_secrets" (
  "name" TEXT NOT NULL PRIMARY KEY,
  "value" TEXT NOT NULL,
  "created" INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
