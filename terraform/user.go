package main

import (
	"context"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/godwitmq/godwit/control/mqapi"
)

// userResource is godwit_user. Its password cannot be read back: the state has what was said last.
type userResource struct{ base }

type userModel struct {
	ID       types.String `tfsdk:"id"`
	Broker   types.String `tfsdk:"broker_id"`
	Name     types.String `tfsdk:"username"`
	Password types.String `tfsdk:"password"`
	Groups   types.Set    `tfsdk:"groups"`
}

func (*userResource) Metadata(_ context.Context, _ resource.MetadataRequest, r *resource.MetadataResponse) {
	r.TypeName = "godwit_user"
}

func (*userResource) Schema(_ context.Context, _ resource.SchemaRequest, r *resource.SchemaResponse) {
	another := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	r.Schema = schema.Schema{
		Description: "A user of a broker. Password and groups change at once; nobody else is touched.",
		Attributes: map[string]schema.Attribute{
			"id":        schema.StringAttribute{Computed: true, PlanModifiers: same, Description: "BROKER-ID/NAME, by which it is imported."},
			"broker_id": schema.StringAttribute{Required: true, PlanModifiers: another},
			"username":  schema.StringAttribute{Required: true, PlanModifiers: another},
			"password":  schema.StringAttribute{Required: true, Sensitive: true},
			"groups":    schema.SetAttribute{Optional: true, Computed: true, ElementType: types.StringType, PlanModifiers: sameSet},
		},
	}
}

func (u *userResource) Create(ctx context.Context, r resource.CreateRequest, a *resource.CreateResponse) {
	var m userModel
	if a.Diagnostics.Append(r.Plan.Get(ctx, &m)...); a.Diagnostics.HasError() {
		return
	}
	err := u.mq.CreateUser(ctx, &mqapi.CreateUserRequest{BrokerID: m.Broker.ValueString(), Username: m.Name.ValueString(), Password: m.Password.ValueString(), Groups: texts(ctx, m.Groups, &a.Diagnostics)})
	if failed(&a.Diagnostics, "The user was not made", err) || failed(&a.Diagnostics, "The user cannot be read", u.read(ctx, &m)) {
		return
	}
	a.Diagnostics.Append(a.State.Set(ctx, &m)...)
}

func (u *userResource) read(ctx context.Context, m *userModel) error {
	now, err := u.mq.DescribeUser(ctx, &mqapi.DescribeUserRequest{BrokerID: m.Broker.ValueString(), Username: m.Name.ValueString()})
	if err != nil {
		return err
	}
	m.ID = types.StringValue(m.Broker.ValueString() + "/" + m.Name.ValueString())
	m.Groups, _ = types.SetValueFrom(ctx, types.StringType, append([]string{}, now.Groups...)) // texts always are
	return nil
}

func (u *userResource) Read(ctx context.Context, r resource.ReadRequest, a *resource.ReadResponse) {
	var m userModel
	if a.Diagnostics.Append(r.State.Get(ctx, &m)...); a.Diagnostics.HasError() {
		return
	}
	if err := u.read(ctx, &m); gone(err) {
		a.State.RemoveResource(ctx)
		return
	} else if failed(&a.Diagnostics, "The user cannot be read", err) {
		return
	}
	a.Diagnostics.Append(a.State.Set(ctx, &m)...)
}

func (u *userResource) Update(ctx context.Context, r resource.UpdateRequest, a *resource.UpdateResponse) {
	var m, was userModel
	a.Diagnostics.Append(r.Plan.Get(ctx, &m)...)
	if a.Diagnostics.Append(r.State.Get(ctx, &was)...); a.Diagnostics.HasError() {
		return
	}
	ask := &mqapi.UpdateUserRequest{BrokerID: m.Broker.ValueString(), Username: m.Name.ValueString(), Groups: texts(ctx, m.Groups, &a.Diagnostics)}
	if !m.Password.Equal(was.Password) {
		ask.Password = text(m.Password)
	}
	if failed(&a.Diagnostics, "The user was not changed", u.mq.UpdateUser(ctx, ask)) || failed(&a.Diagnostics, "The user cannot be read", u.read(ctx, &m)) {
		return
	}
	a.Diagnostics.Append(a.State.Set(ctx, &m)...)
}

func (u *userResource) Delete(ctx context.Context, r resource.DeleteRequest, a *resource.DeleteResponse) {
	var m userModel
	if a.Diagnostics.Append(r.State.Get(ctx, &m)...); a.Diagnostics.HasError() {
		return
	}
	if err := u.mq.DeleteUser(ctx, &mqapi.DeleteUserRequest{BrokerID: m.Broker.ValueString(), Username: m.Name.ValueString()}); err != nil && !gone(err) {
		failed(&a.Diagnostics, "The user was not removed", err)
	}
}

func (*userResource) ImportState(ctx context.Context, r resource.ImportStateRequest, a *resource.ImportStateResponse) {
	broker, name, ok := strings.Cut(r.ID, "/")
	if !ok {
		a.Diagnostics.AddError("The id of a user is not right", "Expected BROKER-ID/NAME, as b-1234/ann.")
		return
	}
	a.Diagnostics.Append(a.State.SetAttribute(ctx, path.Root("broker_id"), broker)...)
	a.Diagnostics.Append(a.State.SetAttribute(ctx, path.Root("username"), name)...)
}
