variable "registrations" {
  description = "Which resource providers azurerm registers before it does anything."
  type        = string
  default     = "none"
}

variable "group" {
  type    = string
  default = "terraform"
}

variable "location" {
  type    = string
  default = "local"
}

variable "server" {
  type    = string
  default = "terraform-server"
}

variable "administrator_password" {
  type      = string
  sensitive = true
}

variable "sku_name" {
  type    = string
  default = "B_Standard_B1ms"
}

variable "storage_mb" {
  type    = number
  default = 32768
}

variable "backup_retention_days" {
  type    = number
  default = 7
}

variable "maintenance_day" {
  type    = number
  default = 0
}

variable "tags" {
  type    = map(string)
  default = { team = "blue" }
}

variable "configurations" {
  type    = map(string)
  default = { work_mem = "8192" }
}

variable "firewall_rules" {
  type    = map(object({ start = string, end = string }))
  default = { here = { start = "127.0.0.1", end = "127.0.0.1" } }
}
