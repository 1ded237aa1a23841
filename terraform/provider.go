package main

import (
	"cmp"
	"context"
	"errors"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/control/mqapi"
	mqclient "github.com/godwitmq/godwit/control/mqapi/client"
)

// Address is the provider's name for Terraform.
const Address = "godwit.local/godwitmq/godwit"

// New makes the provider.
func New() provider.Provider { return godwit{} }

type godwit struct{}

// service is what resources work with: the operator's API, and Amazon MQ's for an account and a region.
type service struct {
	*client.Client
	mq              *mqclient.Client
	account, region string
}

func (godwit) Metadata(_ context.Context, _ provider.MetadataRequest, r *provider.MetadataResponse) {
	r.TypeName = "godwit"
}

type settings struct {
	Endpoint types.String `tfsdk:"endpoint"`
	User     types.String `tfsdk:"user"`
	Password types.String `tfsdk:"password"`
	Account  types.String `tfsdk:"account"`
	Region   types.String `tfsdk:"region"`
}

func (godwit) Schema(_ context.Context, _ provider.SchemaRequest, r *provider.SchemaResponse) {
	r.Schema = schema.Schema{
		Description: "Brokers of a Godwit service, asked as its operator.",
		Attributes: map[string]schema.Attribute{
			"endpoint": schema.StringAttribute{Optional: true, Description: "Address of the service's HTTP API. Default: GODWIT_API, else " + client.DefaultURL + "."},
			"user":     schema.StringAttribute{Optional: true, Description: "User name, where the API demands credentials. Default: GODWIT_USER."},
			"password": schema.StringAttribute{Optional: true, Sensitive: true, Description: "Password. Default: GODWIT_PASSWORD."},
			"account":  schema.StringAttribute{Optional: true, Description: "Account that brokers are made in, twelve digits. Default: the service's own."},
			"region":   schema.StringAttribute{Optional: true, Description: "Region that brokers are made in. Default: the service's own."},
		},
	}
}

func (godwit) Configure(ctx context.Context, r provider.ConfigureRequest, a *provider.ConfigureResponse) {
	var s settings
	if a.Diagnostics.Append(r.Config.Get(ctx, &s)...); a.Diagnostics.HasError() {
		return
	}
	c, err := client.New(cmp.Or(s.Endpoint.ValueString(), os.Getenv("GODWIT_API"), client.DefaultURL), client.Options{
		User: cmp.Or(s.User.ValueString(), os.Getenv("GODWIT_USER")), Password: cmp.Or(s.Password.ValueString(), os.Getenv("GODWIT_PASSWORD"))})
	if err != nil {
		a.Diagnostics.AddError("The endpoint is not right", err.Error())
		return
	}
	svc := &service{Client: c, mq: mqclient.New(c, s.Account.ValueString(), s.Region.ValueString()), account: s.Account.ValueString(), region: s.Region.ValueString()}
	a.ResourceData, a.DataSourceData = svc, svc
}

func (godwit) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{
		func() resource.Resource { return &brokerResource{} },
		func() resource.Resource { return &configurationResource{} },
		func() resource.Resource { return &userResource{} },
		func() resource.Resource { return &groupResource{} },
	}
}

func (godwit) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{func() datasource.DataSource { return &brokerData{} }}
}

// base has the service for a resource.
type base struct{ *service }

func (b *base) Configure(_ context.Context, r resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	if s, ok := r.ProviderData.(*service); ok { // else the provider is not configured yet
		b.service = s
	}
}

// failed adds an error, and says whether there is one.
func failed(d *diag.Diagnostics, what string, err error) bool {
	if err != nil {
		d.AddError(what, err.Error())
	}
	return err != nil
}

// gone says that something is not there any more.
func gone(err error) bool {
	var amazon *mqapi.Error
	var own *api.Error
	return errors.As(err, &amazon) && amazon.Kind == mqapi.NotFound || errors.As(err, &own) && own.Status == 404
}

// text is an optional text; unknown and null are nil.
func text(s types.String) *string {
	if s.IsNull() || s.IsUnknown() {
		return nil
	}
	return s.ValueStringPointer()
}

func flag(b types.Bool) *bool {
	if b.IsNull() || b.IsUnknown() {
		return nil
	}
	return b.ValueBoolPointer()
}

// texts are those of a list or a set; nil for null and unknown.
func texts(ctx context.Context, list interface {
	IsNull() bool
	IsUnknown() bool
	ElementsAs(context.Context, any, bool) diag.Diagnostics
}, d *diag.Diagnostics) []string {
	if list.IsNull() || list.IsUnknown() {
		return nil
	}
	found := []string{}
	d.Append(list.ElementsAs(ctx, &found, false)...)
	return found
}
