-- One record and what it relates to, shown to whoever opens it, as far as its creator may read it.
CREATE TABLE "portreeve_shares" (
  "id" TEXT NOT NULL PRIMARY KEY,
  "name" TEXT NOT NULL,
  "collection" TEXT NOT NULL,
  "record" TEXT NOT NULL,
  -- What it is narrowed to: a role, or a list of fields.
  "role" TEXT,
  "fields" TEXT,
  "protected" INTEGER NOT NULL CHECK ("protected" IN (0, 1)),
  "from" INTEGER,
  "until" INTEGER,
  "max_uses" INTEGER CHECK ("max_uses" > 0),
  "times_used" INTEGER NOT NULL,
  "created_by" TEXT NOT NULL REFERENCES "portreeve_users" ("id") ON DELETE CASCADE,
  "created" INTEGER NOT NULL,
  CHECK (("role" IS NULL) <> ("fields" IS NULL)),
  CHECK ("max_uses" IS NULL OR "times_used" <= "max_uses")
) STRICT;
CREATE INDEX "portreeve_shares_created_by" ON "portreeve_shares" ("created_by", "id");

-- Passwords are in no collection, nor are the tokens of those who have opened a share.
CREATE TABLE "portreeve_share_passwords" (
  "share" TEXT NOT NULL PRIMARY KEY REFERENCES "portreeve_shares" ("id") ON DELETE CASCADE,
  "password_hash" TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE "portreeve_share_tokens" (
  "token_hash" BLOB NOT NULL PRIMARY KEY,
  "share" TEXT NOT NULL REFERENCES "portreeve_shares" ("id") ON DELETE CASCADE,
  "created" INTEGER NOT NULL,
  "expires" INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX "portreeve_share_tokens_share" ON "portreeve_share_tokens" ("share", "created");
CREATE INDEX "portreeve_share_tokens_expires" ON "portreeve_share_tokens" ("expires");
