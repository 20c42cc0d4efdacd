output "credentials" {
  description = "For CLOUDFLARE_CREDENTIALS: terraform output -json credentials >credentials.json"
  sensitive   = true
  value = {
    for name, account in var.accounts : name => { token = cloudflare_account_token.reader[name].value, accounts = [account] }
  }
}

output "archive" {
  description = "ORGTRAIL_ARCHIVE, and the two keys of its bucket."
  sensitive   = true
  value = var.bucket == null ? null : {
    ORGTRAIL_ARCHIVE               = "s3://${var.bucket.name}/${var.bucket.prefix}?region=auto&endpoint=https://${var.bucket.account_id}.r2.cloudflarestorage.com"
    ORGTRAIL_ARCHIVE_S3_ACCESS_KEY = cloudflare_account_token.archive[0].id
    ORGTRAIL_ARCHIVE_S3_SECRET_KEY = sha256(cloudflare_account_token.archive[0].value)
  }
}
