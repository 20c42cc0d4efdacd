# Tokens of accounts that may read their audit logs, one for each account, and a bucket for the archive with its lock. For Terraform and OpenTofu.
# docs/operations/credentials.md says how orgtrail gets them. The state has the tokens in it: keep it where secrets are kept.
terraform {
  required_version = ">= 1.6"
  required_providers {
    cloudflare = { source = "cloudflare/cloudflare", version = "~> 5.13" }
  }
}

locals {
  all_accounts = merge(var.accounts, var.bucket == null ? {} : { (var.bucket.name) = var.bucket.account_id })
  # Permission groups have the same ids in every account.
  groups = {
    for group in data.cloudflare_account_api_token_permission_groups_list.all.result : group.name => group.id
    if anytrue([for scope in group.scopes : contains(["com.cloudflare.api.account", "com.cloudflare.edge.r2.bucket"], scope)])
  }
}

data "cloudflare_account_api_token_permission_groups_list" "all" {
  account_id = values(local.all_accounts)[0]
}

resource "cloudflare_account_token" "reader" {
  for_each   = var.accounts
  account_id = each.value
  name       = var.token_name
  expires_on = var.expires_on
  condition  = length(var.addresses) == 0 ? null : { request_ip = { in = var.addresses } }
  policies = [{
    effect            = "allow"
    permission_groups = [{ id = local.groups["Account Settings Read"] }]
    resources         = jsonencode({ "com.cloudflare.api.account.${each.value}" = "*" })
  }]
}

resource "cloudflare_r2_bucket" "archive" {
  count      = var.bucket == null ? 0 : 1
  account_id = var.bucket.account_id
  name       = var.bucket.name
  location   = var.bucket.location

  lifecycle {
    prevent_destroy = true
  }
}

# Objects of the archive never change. A manifest replaces the one before, so the lock leaves those out.
resource "cloudflare_r2_bucket_lock" "archive" {
  count       = var.bucket == null ? 0 : 1
  account_id  = var.bucket.account_id
  bucket_name = cloudflare_r2_bucket.archive[0].name
  rules = [for kind in ["events", "changes"] : {
    id        = "orgtrail-${kind}"
    enabled   = true
    prefix    = "${var.bucket.prefix}/v1/${kind}/"
    condition = { type = "Age", max_age_seconds = var.bucket.lock_days * 86400 }
  }]
}

resource "cloudflare_account_token" "archive" {
  count      = var.bucket == null ? 0 : 1
  account_id = var.bucket.account_id
  name       = "${var.token_name}-archive"
  expires_on = var.expires_on
  condition  = length(var.addresses) == 0 ? null : { request_ip = { in = var.addresses } }
  policies = [{
    effect            = "allow"
    permission_groups = [{ id = local.groups["Workers R2 Storage Bucket Item Write"] }]
    resources = jsonencode({
      "com.cloudflare.edge.r2.bucket.${var.bucket.account_id}_default_${cloudflare_r2_bucket.archive[0].name}" = "*"
    })
  }]
}
