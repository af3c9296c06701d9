-- The audit trail is sealed by a chain: each seal holds a digest of its line and a hash over the seal before it. What is
-- written in a change's own transaction is only the number of its line; sealing comes a moment later, one at a time.
CREATE TABLE "portreeve_audit_seals" (
  "position" INTEGER PRIMARY KEY,
  "line" INTEGER NOT NULL UNIQUE,
  "content" TEXT NOT NULL,
  "hash" TEXT NOT NULL
) STRICT;

-- Lines that wait for their seal. A line that is neither here nor sealed was not written by the product.
CREATE TABLE "portreeve_audit_unsealed" (
  "line" INTEGER PRIMARY KEY
) STRICT;
INSERT INTO "portreeve_audit_unsealed" ("line") SELECT "id" FROM "portreeve_audit";

-- One row: the last seal, so that an end that is cut off is missed.
CREATE TABLE "portreeve_audit_head" (
  "one" INTEGER PRIMARY KEY CHECK ("one" = 1),
  "position" INTEGER NOT NULL,
  "hash" TEXT NOT NULL
) STRICT;
INSERT INTO "portreeve_audit_head" ("one", "position", "hash")
  VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

-- What was denied, for whoever may have it explained. Nothing of a record and nothing that was sent, but for its key.
CREATE TABLE "portreeve_decisions" (
  "id" TEXT NOT NULL PRIMARY KEY,
  "at" INTEGER NOT NULL,
  "decision" TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX "portreeve_decisions_at" ON "portreeve_decisions" ("at");
