-- Mail, and the codes that are sent by it. Codes and what waits to be sent are no collections.

-- A code is kept by its hash. One that is used is gone.
CREATE TABLE portreeve.codes (
  "hash" bytea NOT NULL PRIMARY KEY,
  "purpose" text COLLATE "C" NOT NULL,
  "user" text COLLATE "C" NOT NULL REFERENCES portreeve.users ("id") ON DELETE CASCADE,
  -- The address it was sent to.
  "address" text COLLATE "C" NOT NULL,
  -- What the account had then: with another address or password the code is void.
  "email" text COLLATE "C",
  "credential" text COLLATE "C",
  -- Who has invited.
  "by" text COLLATE "C",
  "created" timestamptz NOT NULL,
  "expires" timestamptz NOT NULL
);
CREATE INDEX codes_user ON portreeve.codes ("user");
CREATE INDEX codes_expires ON portreeve.codes ("expires");

-- What is to be sent: to whom and about what. Its text and its code are made when it is.
CREATE TABLE portreeve.mails (
  "id" text COLLATE "C" NOT NULL PRIMARY KEY,
  "template" text COLLATE "C" NOT NULL,
  -- Whom it is for, or what somebody has typed who says he is.
  "user" text COLLATE "C" REFERENCES portreeve.users ("id") ON DELETE CASCADE,
  "login" text COLLATE "C",
  "address" text COLLATE "C",
  -- A new address it speaks of.
  "about" text COLLATE "C",
  "link" text COLLATE "C",
  "email" text COLLATE "C",
  "credential" text COLLATE "C",
  "by" text COLLATE "C",
  "state" text COLLATE "C" NOT NULL CHECK ("state" IN ('waiting', 'sent', 'given_up')),
  "attempts" int8 NOT NULL,
  -- When it is to be tried; while somebody tries, until when he alone may.
  "due" timestamptz NOT NULL,
  "error" text COLLATE "C",
  "created" timestamptz NOT NULL,
  "finished" timestamptz,
  CHECK (("user" IS NULL) <> ("login" IS NULL))
);
CREATE INDEX mails_due ON portreeve.mails ("state", "due");
CREATE INDEX mails_address ON portreeve.mails (lower("address"), "finished");
CREATE INDEX mails_user ON portreeve.mails ("user");

-- Words that take the place of the built-in ones.
CREATE TABLE portreeve.templates (
  "name" text COLLATE "C" NOT NULL PRIMARY KEY,
  "subject" text COLLATE "C" NOT NULL,
  "text" text COLLATE "C" NOT NULL,
  "html" text COLLATE "C",
  "updated" timestamptz NOT NULL
);
