-- Every row says what was there before, what is there now, why, and through which face and request.
ALTER TABLE "portreeve_audit" RENAME COLUMN "detail" TO "after";
ALTER TABLE "portreeve_audit" ADD COLUMN "before" TEXT;
ALTER TABLE "portreeve_audit" ADD COLUMN "why" TEXT;
ALTER TABLE "portreeve_audit" ADD COLUMN "face" TEXT;
ALTER TABLE "portreeve_audit" ADD COLUMN "request" TEXT;
