terraform {
  required_providers {
    godwit = { source = "godwit.local/godwitmq/godwit" }
  }
}

resource "godwit_security_group" "offices" {
  name        = "halls"
  description = "people"
  rules       = ["10.2.0.0/16:61617", "127.0.0.0/8"]
}

resource "godwit_configuration" "payroll" {
  name = "payroll"
  data = <<-XML
    <broker xmlns="http://activemq.apache.org/schema/core"><destinationPolicy><policyMap><policyEntries>
      <policyEntry queue="big" memoryLimit="2mb"/>
    </policyEntries></policyMap></destinationPolicy></broker>
  XML
}

resource "godwit_broker" "payroll" {
  name                       = "payroll"
  first_user = { username = "ann", password = "a third horse 9", groups = ["staff"] }
  deployment_mode            = "ACTIVE_STANDBY_MULTI_AZ"
  host_instance_type         = "mq.m5.medium"
  engine_version             = "5.19"
  storage_size               = 60
  subnet_ids                 = ["subnet-a", "subnet-c"]
  security_groups            = [godwit_security_group.offices.id]
  configuration              = { id = godwit_configuration.payroll.id, revision = godwit_configuration.payroll.latest_revision }
  maintenance_window         = { day_of_week = "SUNDAY", time_of_day = "03:00", time_zone = "Europe/Berlin" }
  logs                       = { general = true, audit = true }
  auto_minor_version_upgrade = true
  tags                       = { team = "pay" }
}

resource "godwit_user" "bob" {
  broker_id = godwit_broker.payroll.id
  username  = "bob"
  password  = "another horse 8"
  groups    = ["staff", "night"]
}

data "godwit_broker" "payroll" {
  name = godwit_broker.payroll.id
}

output "id" { value = godwit_broker.payroll.id }
output "endpoints" { value = data.godwit_broker.payroll.endpoints }
