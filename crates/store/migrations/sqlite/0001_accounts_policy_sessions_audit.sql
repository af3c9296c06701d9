-- The product's own tables. Those that are collections have the columns of portreeve_policy::SYSTEM_COLLECTIONS; secrets
-- (password hashes, hashes of session tokens) are in tables that are no collection, so that no query can name them.

-- Own columns of accounts are added after these by the catalog (sql/ddl.rs repeats the columns for a rebuild).
CREATE TABLE "portreeve_users" (
  "number" INTEGER PRIMARY KEY AUTOINCREMENT,
  "id" TEXT NOT NULL UNIQUE,
  "key" TEXT NOT NULL UNIQUE,
  "username" TEXT UNIQUE,
  "email" TEXT,
  "status" TEXT NOT NULL,
  "confirmed" INTEGER NOT NULL CHECK ("confirmed" IN (0, 1)),
  "provider" TEXT NOT NULL,
  "created" INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX "portreeve_users_email" ON "portreeve_users" (lower("email"));

CREATE TABLE "portreeve_credentials" (
  "user" TEXT NOT NULL PRIMARY KEY REFERENCES "portreeve_users" ("id") ON DELETE CASCADE,
  "password_hash" TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- No reference to the account: the epoch of one that is deleted has to outlive it.
CREATE TABLE "portreeve_epochs" (
  "user" TEXT NOT NULL PRIMARY KEY,
  "epoch" INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE "portreeve_roles" (
  "id" TEXT NOT NULL PRIMARY KEY,
  "key" TEXT NOT NULL UNIQUE,
  "label" TEXT NOT NULL,
  "description" TEXT NOT NULL,
  "definition" TEXT NOT NULL,
  "position" INTEGER NOT NULL
) STRICT;

CREATE TABLE "portreeve_profiles" (
  "id" TEXT NOT NULL PRIMARY KEY,
  "key" TEXT NOT NULL UNIQUE,
  "label" TEXT NOT NULL,
  "description" TEXT NOT NULL,
  "definition" TEXT NOT NULL,
  "position" INTEGER NOT NULL
) STRICT;

-- Roles and profiles are named by key, and may be named before they exist: the policy decides what that means.
CREATE TABLE "portreeve_bindings" (
  "id" TEXT NOT NULL PRIMARY KEY,
  "user" TEXT NOT NULL REFERENCES "portreeve_users" ("id") ON DELETE CASCADE,
  "role" TEXT,
  "profile" TEXT,
  "restricted_to" TEXT,
  "from" INTEGER,
  "until" INTEGER,
  "primary" INTEGER NOT NULL CHECK ("primary" IN (0, 1)),
  "granted_by" TEXT,
  "reason" TEXT,
  CHECK (("role" IS NULL) <> ("profile" IS NULL))
) STRICT;
CREATE INDEX "portreeve_bindings_user" ON "portreeve_bindings" ("user", "id");

-- What a policy is made of beside roles and profiles: collections, rules, actions, registration.
CREATE TABLE "portreeve_definitions" (
  "kind" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "position" INTEGER NOT NULL,
  "definition" TEXT NOT NULL,
  PRIMARY KEY ("kind", "name")
) STRICT, WITHOUT ROWID;

CREATE TABLE "portreeve_sessions" (
  "id" TEXT NOT NULL PRIMARY KEY,
  "user" TEXT NOT NULL REFERENCES "portreeve_users" ("id") ON DELETE CASCADE,
  "created" INTEGER NOT NULL,
  "expires" INTEGER NOT NULL
) STRICT;
CREATE INDEX "portreeve_sessions_user" ON "portreeve_sessions" ("user", "id");
CREATE INDEX "portreeve_sessions_expires" ON "portreeve_sessions" ("expires");

CREATE TABLE "portreeve_session_tokens" (
  "token_hash" BLOB NOT NULL PRIMARY KEY,
  "session" TEXT NOT NULL UNIQUE REFERENCES "portreeve_sessions" ("id") ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE "portreeve_settings" (
  "name" TEXT NOT NULL PRIMARY KEY,
  "value" TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE "portreeve_audit" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT,
  "at" INTEGER NOT NULL,
  "actor" TEXT,
  "action" TEXT NOT NULL,
  "target" TEXT NOT NULL,
  "detail" TEXT
) STRICT;

-- One row.
CREATE TABLE "portreeve_policy" (
  "one" INTEGER PRIMARY KEY CHECK ("one" = 1),
  "version" INTEGER NOT NULL
) STRICT;
INSERT INTO "portreeve_policy" ("one", "version") VALUES (1, 0);
