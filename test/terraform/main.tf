# A server with all that azurerm can manage of it. test/e2e/test_terraform.py applies, changes,
# imports and destroys this with the provider as it is published; the address and the credentials
# come in the environment (ARM_METADATA_HOSTNAME, ARM_CLIENT_ID, ...), see docs/guide/terraform.md.

terraform {
  required_providers {
    azurerm = {
      source = "hashicorp/azurerm"
    }
  }
}

provider "azurerm" {
  resource_provider_registrations = var.registrations
  features {}
}

resource "azurerm_resource_group" "main" {
  name     = var.group
  location = var.location
  tags     = var.tags
}

resource "azurerm_postgresql_flexible_server" "main" {
  name                   = var.server
  resource_group_name    = azurerm_resource_group.main.name
  location               = azurerm_resource_group.main.location
  version                = "15"
  sku_name               = var.sku_name
  storage_mb             = var.storage_mb
  backup_retention_days  = var.backup_retention_days
  administrator_login    = "dba"
  administrator_password = var.administrator_password
  tags                   = var.tags

  maintenance_window {
    day_of_week  = var.maintenance_day
    start_hour   = 3
    start_minute = 30
  }
}

resource "azurerm_postgresql_flexible_server_database" "app" {
  name      = "app"
  server_id = azurerm_postgresql_flexible_server.main.id
  charset   = "UTF8"
  collation = "en_US.utf8"
}

resource "azurerm_postgresql_flexible_server_configuration" "main" {
  for_each  = var.configurations
  name      = each.key
  value     = each.value
  server_id = azurerm_postgresql_flexible_server.main.id
}

resource "azurerm_postgresql_flexible_server_firewall_rule" "main" {
  for_each         = var.firewall_rules
  name             = each.key
  server_id        = azurerm_postgresql_flexible_server.main.id
  start_ip_address = each.value.start
  end_ip_address   = each.value.end
}

output "fqdn" {
  value = azurerm_postgresql_flexible_server.main.fqdn
}
