// Command terraform-provider-godwit lets Terraform and OpenTofu make and change what a Godwit service has: brokers, configurations, users and security groups.
package main

import (
	"context"
	"log"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
)

func main() {
	if err := providerserver.Serve(context.Background(), New, providerserver.ServeOpts{Address: Address}); err != nil {
		log.Fatal(err)
	}
}
