# The Entra administrator of a server that is there already. Kept apart from ../main.tf, so that
# each can be applied without the other.

terraform {
  required_providers {
    azurerm = {
      source = "hashicorp/azurerm"
    }
  }
}

provider "azurerm" {
  resource_provider_registrations = "none"
  features {}
}

variable "group" {
  type = string
}

variable "server" {
  type = string
}

variable "tenant_id" {
  type = string
}

variable "object_id" {
  type = string
}

resource "azurerm_postgresql_flexible_server_active_directory_administrator" "main" {
  server_name         = var.server
  resource_group_name = var.group
  tenant_id           = var.tenant_id
  object_id           = var.object_id
  principal_name      = "ada@example.org"
  principal_type      = "User"
}
