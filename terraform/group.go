package main

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/godwitmq/godwit/control/api"
)

// groupResource is godwit_security_group. All of it changes in place, at once for all brokers that have it.
type groupResource struct{ base }

type groupModel struct {
	ID          types.String `tfsdk:"id"`
	Name        types.String `tfsdk:"name"`
	Description types.String `tfsdk:"description"`
	Rules       types.Set    `tfsdk:"rules"`
}

func (*groupResource) Metadata(_ context.Context, _ resource.MetadataRequest, r *resource.MetadataResponse) {
	r.TypeName = "godwit_security_group"
}

func (*groupResource) Schema(_ context.Context, _ resource.SchemaRequest, r *resource.SchemaResponse) {
	r.Schema = schema.Schema{
		Description: "From where clients may connect to the brokers that have it.",
		Attributes: map[string]schema.Attribute{
			"id":          schema.StringAttribute{Computed: true, PlanModifiers: same},
			"name":        schema.StringAttribute{Required: true},
			"description": schema.StringAttribute{Optional: true},
			"rules":       schema.SetAttribute{Required: true, ElementType: types.StringType, Description: "Networks, each maybe with a port or two: 10.1.0.0/16, 10.1.0.0/16:61617, 10.1.0.0/16:61614-61617."},
		},
	}
}

func (m *groupModel) rules(ctx context.Context, d *diag.Diagnostics) []api.NetworkRule {
	rules := []api.NetworkRule{}
	for _, t := range texts(ctx, m.Rules, d) {
		rule, err := api.ParseNetworkRule(t)
		if err != nil {
			d.AddAttributeError(path.Root("rules"), "A rule is not right", err.Error())
			continue
		}
		rules = append(rules, rule)
	}
	return rules
}

func (g *groupResource) Create(ctx context.Context, r resource.CreateRequest, a *resource.CreateResponse) {
	var m groupModel
	if a.Diagnostics.Append(r.Plan.Get(ctx, &m)...); a.Diagnostics.HasError() {
		return
	}
	rules := m.rules(ctx, &a.Diagnostics)
	if a.Diagnostics.HasError() {
		return
	}
	done, err := g.CreateSecurityGroup(ctx, api.NewSecurityGroup{Name: m.Name.ValueString(), Description: m.Description.ValueString(), Rules: rules, Account: g.account, Region: g.region})
	if failed(&a.Diagnostics, "The security group was not made", err) {
		return
	}
	m.ID = types.StringValue(done.ID)
	a.Diagnostics.Append(a.State.Set(ctx, &m)...)
}

func (g *groupResource) Read(ctx context.Context, r resource.ReadRequest, a *resource.ReadResponse) {
	var m groupModel
	if a.Diagnostics.Append(r.State.Get(ctx, &m)...); a.Diagnostics.HasError() {
		return
	}
	all, err := g.SecurityGroups(ctx)
	if failed(&a.Diagnostics, "The security groups cannot be read", err) {
		return
	}
	for _, now := range all {
		if now.ID != m.ID.ValueString() {
			continue
		}
		rules := []string{}
		for _, rule := range now.Rules {
			rules = append(rules, rule.String())
		}
		m.Name = types.StringValue(now.Name)
		if now.Description != "" || !m.Description.IsNull() {
			m.Description = types.StringValue(now.Description)
		}
		var problems diag.Diagnostics
		m.Rules, problems = types.SetValueFrom(ctx, types.StringType, rules)
		a.Diagnostics.Append(problems...)
		a.Diagnostics.Append(a.State.Set(ctx, &m)...)
		return
	}
	a.State.RemoveResource(ctx)
}

func (g *groupResource) Update(ctx context.Context, r resource.UpdateRequest, a *resource.UpdateResponse) {
	var m groupModel
	if a.Diagnostics.Append(r.Plan.Get(ctx, &m)...); a.Diagnostics.HasError() {
		return
	}
	rules := m.rules(ctx, &a.Diagnostics)
	if a.Diagnostics.HasError() {
		return
	}
	_, err := g.UpdateSecurityGroup(ctx, m.ID.ValueString(), api.ChangeSecurityGroup{Name: text(m.Name), Description: new(m.Description.ValueString()), Rules: &rules})
	if failed(&a.Diagnostics, "The security group was not changed", err) {
		return
	}
	a.Diagnostics.Append(a.State.Set(ctx, &m)...)
}

func (g *groupResource) Delete(ctx context.Context, r resource.DeleteRequest, a *resource.DeleteResponse) {
	var m groupModel
	if a.Diagnostics.Append(r.State.Get(ctx, &m)...); a.Diagnostics.HasError() {
		return
	}
	if err := g.DeleteSecurityGroup(ctx, m.ID.ValueString()); err != nil && !gone(err) {
		failed(&a.Diagnostics, "The security group was not removed", err)
	}
}

func (*groupResource) ImportState(ctx context.Context, r resource.ImportStateRequest, a *resource.ImportStateResponse) {
	resource.ImportStatePassthroughID(ctx, path.Root("id"), r, a)
}
