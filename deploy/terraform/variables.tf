variable "accounts" {
  description = "The accounts to read, by a name of yours: the credentials have these names."
  type        = map(string)
}

variable "token_name" {
  description = "What the tokens are called in the dashboard."
  type        = string
  default     = "orgtrail"
}

variable "addresses" {
  description = "From where the tokens may be used, as CIDR; empty: from anywhere."
  type        = list(string)
  default     = []
}

variable "expires_on" {
  description = "When the tokens end, such as 2027-12-01T00:00:00Z; null: never."
  type        = string
  default     = null
}

variable "bucket" {
  description = "The bucket of the archive; null: none."
  type = object({
    account_id = string
    name       = string
    location   = optional(string)
    prefix     = optional(string, "orgtrail")
    lock_days  = optional(number, 2555)
  })
  default = null
}
