package main

import (
	"context"
	"encoding/base64"
	"strconv"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/godwitmq/godwit/control/mqapi"
)

// configurationResource is godwit_configuration. Each change of its data is a new revision; brokers keep theirs until they are given the new one.
type configurationResource struct{ base }

type configurationState struct {
	ID       types.String `tfsdk:"id"`
	ARN      types.String `tfsdk:"arn"`
	Name     types.String `tfsdk:"name"`
	Version  types.String `tfsdk:"engine_version"`
	Data     types.String `tfsdk:"data"`
	Revision types.Int32  `tfsdk:"latest_revision"`
}

func (*configurationResource) Metadata(_ context.Context, _ resource.MetadataRequest, r *resource.MetadataResponse) {
	r.TypeName = "godwit_configuration"
}

func (*configurationResource) Schema(_ context.Context, _ resource.SchemaRequest, r *resource.SchemaResponse) {
	another := []planmodifier.String{stringplanmodifier.RequiresReplaceIfConfigured(), stringplanmodifier.UseStateForUnknown()}
	r.Schema = schema.Schema{
		Description: "A configuration in activemq.xml's form. A change of its data is a new revision.",
		Attributes: map[string]schema.Attribute{
			"id":              schema.StringAttribute{Computed: true, PlanModifiers: same},
			"arn":             schema.StringAttribute{Computed: true, PlanModifiers: same},
			"name":            schema.StringAttribute{Required: true, PlanModifiers: another},
			"engine_version":  schema.StringAttribute{Optional: true, Computed: true, PlanModifiers: another},
			"data":            schema.StringAttribute{Required: true, Description: "The XML. It comes back byte for byte."},
			"latest_revision": schema.Int32Attribute{Computed: true},
		},
	}
}

func (c *configurationResource) Create(ctx context.Context, r resource.CreateRequest, a *resource.CreateResponse) {
	var m configurationState
	if a.Diagnostics.Append(r.Plan.Get(ctx, &m)...); a.Diagnostics.HasError() {
		return
	}
	done, err := c.mq.CreateConfiguration(ctx, &mqapi.CreateConfigurationRequest{Name: m.Name.ValueString(), EngineType: mqapi.EngineTypeActiveMQ, EngineVersion: text(m.Version)})
	if failed(&a.Diagnostics, "The configuration was not made", err) {
		return
	}
	m.ID = types.StringValue(*done.ID)
	a.Diagnostics.Append(a.State.SetAttribute(ctx, path.Root("id"), m.ID)...)
	c.save(ctx, &m, &a.Diagnostics)
	if a.Diagnostics.HasError() || failed(&a.Diagnostics, "The configuration cannot be read", c.read(ctx, &m)) {
		return
	}
	a.Diagnostics.Append(a.State.Set(ctx, &m)...)
}

// save makes a revision of the data.
func (c *configurationResource) save(ctx context.Context, m *configurationState, d *diag.Diagnostics) {
	done, err := c.mq.UpdateConfiguration(ctx, &mqapi.UpdateConfigurationRequest{ConfigurationID: m.ID.ValueString(), Data: base64.StdEncoding.EncodeToString([]byte(m.Data.ValueString()))})
	if failed(d, "There is no new revision of the configuration", err) {
		return
	}
	for _, w := range done.Warnings {
		at := ""
		for _, part := range []*string{w.ElementName, w.AttributeName} {
			if part != nil {
				at += " " + *part
			}
		}
		d.AddWarning("Not honoured:"+at, string(w.Reason))
	}
}

func (c *configurationResource) read(ctx context.Context, m *configurationState) error {
	now, err := c.mq.DescribeConfiguration(ctx, &mqapi.DescribeConfigurationRequest{ConfigurationID: m.ID.ValueString()})
	if err != nil {
		return err
	}
	m.ARN, m.Name, m.Version, m.Revision = types.StringPointerValue(now.ARN), types.StringPointerValue(now.Name), types.StringPointerValue(now.EngineVersion), types.Int32Value(now.LatestRevision.Revision)
	latest, err := c.mq.DescribeConfigurationRevision(ctx, &mqapi.DescribeConfigurationRevisionRequest{ConfigurationID: m.ID.ValueString(), ConfigurationRevision: strconv.Itoa(int(now.LatestRevision.Revision))})
	if err != nil {
		return err
	}
	data, err := base64.StdEncoding.DecodeString(*latest.Data)
	m.Data = types.StringValue(string(data))
	return err
}

func (c *configurationResource) Read(ctx context.Context, r resource.ReadRequest, a *resource.ReadResponse) {
	var m configurationState
	if a.Diagnostics.Append(r.State.Get(ctx, &m)...); a.Diagnostics.HasError() {
		return
	}
	if err := c.read(ctx, &m); gone(err) {
		a.State.RemoveResource(ctx)
		return
	} else if failed(&a.Diagnostics, "The configuration cannot be read", err) {
		return
	}
	a.Diagnostics.Append(a.State.Set(ctx, &m)...)
}

func (c *configurationResource) Update(ctx context.Context, r resource.UpdateRequest, a *resource.UpdateResponse) {
	var m configurationState
	if a.Diagnostics.Append(r.Plan.Get(ctx, &m)...); a.Diagnostics.HasError() {
		return
	}
	c.save(ctx, &m, &a.Diagnostics)
	if a.Diagnostics.HasError() || failed(&a.Diagnostics, "The configuration cannot be read", c.read(ctx, &m)) {
		return
	}
	a.Diagnostics.Append(a.State.Set(ctx, &m)...)
}

func (c *configurationResource) Delete(ctx context.Context, r resource.DeleteRequest, a *resource.DeleteResponse) {
	var m configurationState
	if a.Diagnostics.Append(r.State.Get(ctx, &m)...); a.Diagnostics.HasError() {
		return
	}
	if _, err := c.mq.DeleteConfiguration(ctx, &mqapi.DeleteConfigurationRequest{ConfigurationID: m.ID.ValueString()}); err != nil && !gone(err) {
		failed(&a.Diagnostics, "The configuration was not removed", err)
	}
}

func (*configurationResource) ImportState(ctx context.Context, r resource.ImportStateRequest, a *resource.ImportStateResponse) {
	resource.ImportStatePassthroughID(ctx, path.Root("id"), r, a)
}
