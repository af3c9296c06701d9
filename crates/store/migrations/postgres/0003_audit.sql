-- Every row says what was there before, what is there now, why, and through which face and request.
ALTER TABLE portreeve.audit RENAME COLUMN "detail" TO "after";
ALTER TABLE portreeve.audit
  ADD COLUMN "before" json,
  ADD COLUMN "why" text COLLATE "C",
  ADD COLUMN "face" text COLLATE "C",
  ADD COLUMN "request" text COLLATE "C";
