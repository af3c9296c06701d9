-- Mail, and the codes that are sent by it. Codes and what waits to be sent are no collections.

-- A code is kept by its hash. One that is used is gone.
CREATE TABLE "portreeve_codes" (
  "hash" BLOB NOT NULL PRIMARY KEY,
  "purpose" TEXT NOT NULL,
  "user" TEXT NOT NULL REFERENCES "portreeve_users" ("id") ON DELETE CASCADE,
  -- The address it was sent to.
  "address" TEXT NOT NULL,
  -- What the account had then: with another address or password the code is void.
  "email" TEXT,
  "credential" TEXT,
  -- Who has invited.
  "by" TEXT,
  "created" INTEGER NOT NULL,
  "expires" INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX "portreeve_codes_user" ON "portreeve_codes" ("user");
CREATE INDEX "portreeve_codes_expires" ON "portreeve_codes" ("expires");

-- What is to be sent: to whom and about what. Its text and its code are made when it is.
CREATE TABLE "portreeve_mails" (
  "id" TEXT NOT NULL PRIMARY KEY,
  "template" TEXT NOT NULL,
  -- Whom it is for, or what somebody has typed who says he is.
  "user" TEXT REFERENCES "portreeve_users" ("id") ON DELETE CASCADE,
  "login" TEXT,
  "address" TEXT,
  -- A new address it speaks of.
  "about" TEXT,
  "link" TEXT,
  "email" TEXT,
  "credential" TEXT,
  "by" TEXT,
  "state" TEXT NOT NULL CHECK ("state" IN ('waiting', 'sent', 'given_up')),
  "attempts" INTEGER NOT NULL,
  -- When it is to be tried; while somebody tries, until when he alone may.
  "due" INTEGER NOT NULL,
  "error" TEXT,
  "created" INTEGER NOT NULL,
  "finished" INTEGER,
  CHECK (("user" IS NULL) <> ("login" IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX "portreeve_mails_due" ON "portreeve_mails" ("state", "due");
CREATE INDEX "portreeve_mails_address" ON "portreeve_mails" (lower("address"), "finished");
CREATE INDEX "portreeve_mails_user" ON "portreeve_mails" ("user");

-- Words that take the place of the built-in ones.
CREATE TABLE "portreeve_templates" (
  "name" TEXT NOT NULL PRIMARY KEY,
  "subject" TEXT NOT NULL,
  "text" TEXT NOT NULL,
  "html" TEXT,
  "updated" INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
