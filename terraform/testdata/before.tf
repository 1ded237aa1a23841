terraform {
  required_providers {
    godwit = { source = "godwit.local/godwitmq/godwit" }
  }
}

resource "godwit_security_group" "offices" {
  name  = "offices"
  rules = ["10.1.0.0/16", "127.0.0.0/8"]
}

resource "godwit_configuration" "payroll" {
  name = "payroll"
  data = <<-XML
    <broker xmlns="http://activemq.apache.org/schema/core"><destinationPolicy><policyMap><policyEntries>
      <policyEntry queue="big" memoryLimit="1mb"/>
    </policyEntries></policyMap></destinationPolicy></broker>
  XML
}

resource "godwit_broker" "payroll" {
  name               = "payroll"
  first_user = { username = "ann", password = "correct horse 7", groups = ["staff"] }
  deployment_mode    = "ACTIVE_STANDBY_MULTI_AZ"
  host_instance_type = "mq.t3.micro"
  engine_version     = "5.18"
  subnet_ids         = ["subnet-a", "subnet-b"]
}

resource "godwit_user" "bob" {
  broker_id = godwit_broker.payroll.id
  username  = "bob"
  password  = "correct horse 7"
  groups    = ["staff"]
}

output "id" { value = godwit_broker.payroll.id }
