package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	dataschema "github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/godwitmq/godwit/control/mqapi"
)

// brokerResource is godwit_broker. All but its name changes in place.
type brokerResource struct{ base }

// brokerModel is its state.
type brokerModel struct {
	ID             types.String `tfsdk:"id"`
	ARN            types.String `tfsdk:"arn"`
	Name           types.String `tfsdk:"name"`
	Mode           types.String `tfsdk:"deployment_mode"`
	Type           types.String `tfsdk:"host_instance_type"`
	Version        types.String `tfsdk:"engine_version"`
	Storage        types.Int32  `tfsdk:"storage_size"`
	Subnets        types.Set    `tfsdk:"subnet_ids"`
	SecurityGroups types.Set    `tfsdk:"security_groups"`
	Configuration  types.Object `tfsdk:"configuration"`
	Window         types.Object `tfsdk:"maintenance_window"`
	Logs           types.Object `tfsdk:"logs"`
	AutoMinor      types.Bool   `tfsdk:"auto_minor_version_upgrade"`
	Tags           types.Map    `tfsdk:"tags"`
	FirstUser      types.Object `tfsdk:"first_user"`
	Instances      types.List   `tfsdk:"instances"`
	Active         types.String `tfsdk:"active_instance"`
}

var (
	configurationTypes = map[string]attr.Type{"id": types.StringType, "revision": types.Int32Type}
	windowTypes        = map[string]attr.Type{"day_of_week": types.StringType, "time_of_day": types.StringType, "time_zone": types.StringType}
	logsTypes          = map[string]attr.Type{"general": types.BoolType, "audit": types.BoolType}
	instanceTypes      = map[string]attr.Type{"ip_address": types.StringType, "console_url": types.StringType, "endpoints": types.ListType{ElemType: types.StringType}}
)

type configurationModel struct {
	ID       types.String `tfsdk:"id"`
	Revision types.Int32  `tfsdk:"revision"`
}

type windowModel struct {
	Day  types.String `tfsdk:"day_of_week"`
	Time types.String `tfsdk:"time_of_day"`
	Zone types.String `tfsdk:"time_zone"`
}

type firstUserModel struct {
	Name     types.String `tfsdk:"username"`
	Password types.String `tfsdk:"password"`
	Groups   types.Set    `tfsdk:"groups"`
}

type logsModel struct {
	General types.Bool `tfsdk:"general"`
	Audit   types.Bool `tfsdk:"audit"`
}

func (*brokerResource) Metadata(_ context.Context, _ resource.MetadataRequest, r *resource.MetadataResponse) {
	r.TypeName = "godwit_broker"
}

func (*brokerResource) Schema(_ context.Context, _ resource.SchemaRequest, r *resource.SchemaResponse) {
	r.Schema = schema.Schema{
		Description: "A broker, single or a pair. Everything but its name changes in place, most of it without a client noticing: godwit brokers update --plan says what a change costs.",
		Attributes: map[string]schema.Attribute{
			"id":                 schema.StringAttribute{Computed: true, PlanModifiers: same},
			"arn":                schema.StringAttribute{Computed: true, PlanModifiers: same},
			"name":               schema.StringAttribute{Required: true, PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()}, Description: "Name, unique in the account. Another one is another broker."},
			"deployment_mode":    schema.StringAttribute{Required: true, Description: "SINGLE_INSTANCE or ACTIVE_STANDBY_MULTI_AZ."},
			"host_instance_type": schema.StringAttribute{Required: true, Description: "Instance type, as godwit instance-types lists them."},
			"engine_version":     schema.StringAttribute{Optional: true, Computed: true, PlanModifiers: same, Description: "Engine version. A change waits for the maintenance window, or a reboot."},
			"storage_size":       schema.Int32Attribute{Optional: true, Computed: true, Description: "GiB of storage, apart from the type.", PlanModifiers: sameInt},
			"subnet_ids":         schema.SetAttribute{Optional: true, Computed: true, ElementType: types.StringType, PlanModifiers: sameSet, Description: "Subnets of the instances. Instances move one at a time."},
			"security_groups":    schema.SetAttribute{Optional: true, Computed: true, ElementType: types.StringType, PlanModifiers: sameSet, Description: "Ids of godwit_security_group."},
			"configuration": schema.SingleNestedAttribute{Optional: true, Computed: true, PlanModifiers: sameObject, Attributes: map[string]schema.Attribute{
				"id":       schema.StringAttribute{Required: true},
				"revision": schema.Int32Attribute{Required: true},
			}},
			"maintenance_window": schema.SingleNestedAttribute{Optional: true, Computed: true, PlanModifiers: sameObject, Attributes: map[string]schema.Attribute{
				"day_of_week": schema.StringAttribute{Required: true, Description: "MONDAY to SUNDAY."},
				"time_of_day": schema.StringAttribute{Required: true, Description: "03:00"},
				"time_zone":   schema.StringAttribute{Required: true, Description: "Europe/Berlin, UTC, or an offset."},
			}},
			"logs": schema.SingleNestedAttribute{Optional: true, Computed: true, PlanModifiers: sameObject, Attributes: map[string]schema.Attribute{
				"general": schema.BoolAttribute{Required: true},
				"audit":   schema.BoolAttribute{Required: true},
			}},
			"auto_minor_version_upgrade": schema.BoolAttribute{Optional: true, Computed: true, PlanModifiers: sameBool},
			"first_user": schema.SingleNestedAttribute{Required: true, Description: "A broker has at least one user; others are godwit_user. The password cannot be read back.", Attributes: map[string]schema.Attribute{
				"username": schema.StringAttribute{Required: true},
				"password": schema.StringAttribute{Required: true, Sensitive: true},
				"groups":   schema.SetAttribute{Optional: true, ElementType: types.StringType},
			}},
			"tags": schema.MapAttribute{Optional: true, ElementType: types.StringType},
			"instances": schema.ListNestedAttribute{Computed: true, NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"ip_address":  schema.StringAttribute{Computed: true},
				"console_url": schema.StringAttribute{Computed: true},
				"endpoints":   schema.ListAttribute{Computed: true, ElementType: types.StringType},
			}}, Description: "In the order of their numbers, whichever is active."},
			"active_instance": schema.StringAttribute{Computed: true, Description: "The instance that is active: BROKER-ID-1 or -2. It may be another one after each refresh."},
		},
	}
}

// ModifyPlan says that what the service alone decides stays, where nothing else changes. (A nested attribute that is not said, and is computed, makes the framework believe that something does.)
func (*brokerResource) ModifyPlan(ctx context.Context, r resource.ModifyPlanRequest, a *resource.ModifyPlanResponse) {
	if r.Plan.Raw.IsNull() || r.State.Raw.IsNull() {
		return
	}
	var m, was brokerModel
	a.Diagnostics.Append(r.Plan.Get(ctx, &m)...)
	if a.Diagnostics.Append(r.State.Get(ctx, &was)...); a.Diagnostics.HasError() {
		return
	}
	for _, x := range [][2]attr.Value{{m.Name, was.Name}, {m.Mode, was.Mode}, {m.Type, was.Type}, {m.Version, was.Version}, {m.Storage, was.Storage}, {m.Subnets, was.Subnets}, {m.SecurityGroups, was.SecurityGroups},
		{m.Configuration, was.Configuration}, {m.Window, was.Window}, {m.Logs, was.Logs}, {m.AutoMinor, was.AutoMinor}, {m.Tags, was.Tags}, {m.FirstUser, was.FirstUser}} {
		if !x[0].Equal(x[1]) {
			return
		}
	}
	m.Instances, m.Active = was.Instances, was.Active
	a.Diagnostics.Append(a.Plan.Set(ctx, &m)...)
}

func (b *brokerResource) Create(ctx context.Context, r resource.CreateRequest, a *resource.CreateResponse) {
	var m brokerModel
	if a.Diagnostics.Append(r.Plan.Get(ctx, &m)...); a.Diagnostics.HasError() {
		return
	}
	ask := &mqapi.CreateBrokerRequest{BrokerName: m.Name.ValueString(), DeploymentMode: mqapi.DeploymentMode(m.Mode.ValueString()), EngineType: mqapi.EngineTypeActiveMQ, HostInstanceType: m.Type.ValueString(),
		EngineVersion: text(m.Version), StorageSize: number(m.Storage), SubnetIDs: texts(ctx, m.Subnets, &a.Diagnostics), SecurityGroups: texts(ctx, m.SecurityGroups, &a.Diagnostics),
		Configuration: m.configuration(ctx, &a.Diagnostics), MaintenanceWindowStartTime: m.window(ctx, &a.Diagnostics), Logs: m.logs(ctx, &a.Diagnostics), AutoMinorVersionUpgrade: flag(m.AutoMinor), Tags: m.tags(ctx, &a.Diagnostics)}
	if first := m.firstUser(ctx, &a.Diagnostics); first != nil {
		ask.Users = []mqapi.User{*first}
	}
	if a.Diagnostics.HasError() {
		return
	}
	done, err := b.mq.CreateBroker(ctx, ask)
	if failed(&a.Diagnostics, "The broker was not made", err) {
		return
	}
	m.ID = types.StringValue(*done.BrokerID)
	a.Diagnostics.Append(a.State.SetAttribute(ctx, path.Root("id"), m.ID)...) // whatever comes now, it is there
	if failed(&a.Diagnostics, "The broker does not run", b.settled(ctx, m.ID.ValueString(), time.Time{})) || failed(&a.Diagnostics, "The broker cannot be read", b.read(ctx, &m, &a.Diagnostics)) {
		return
	}
	a.Diagnostics.Append(a.State.Set(ctx, &m)...)
}

func (b *brokerResource) Read(ctx context.Context, r resource.ReadRequest, a *resource.ReadResponse) {
	var m brokerModel
	if a.Diagnostics.Append(r.State.Get(ctx, &m)...); a.Diagnostics.HasError() {
		return
	}
	if err := b.read(ctx, &m, &a.Diagnostics); gone(err) {
		a.State.RemoveResource(ctx)
		return
	} else if failed(&a.Diagnostics, "The broker cannot be read", err) {
		return
	}
	a.Diagnostics.Append(a.State.Set(ctx, &m)...)
}

func (b *brokerResource) Update(ctx context.Context, r resource.UpdateRequest, a *resource.UpdateResponse) {
	var m, was brokerModel
	a.Diagnostics.Append(r.Plan.Get(ctx, &m)...)
	if a.Diagnostics.Append(r.State.Get(ctx, &was)...); a.Diagnostics.HasError() {
		return
	}
	ask, changed := &mqapi.UpdateBrokerRequest{BrokerID: was.ID.ValueString()}, false
	differs := func(now, before attr.Value) bool {
		d := !now.IsUnknown() && !now.IsNull() && !now.Equal(before)
		changed = changed || d
		return d
	}
	if differs(m.Mode, was.Mode) {
		ask.DeploymentMode = new(mqapi.DeploymentMode(m.Mode.ValueString()))
		ask.SubnetIDs = texts(ctx, m.Subnets, &a.Diagnostics) // another number of instances has another number of subnets
	}
	if differs(m.Type, was.Type) {
		ask.HostInstanceType = text(m.Type)
	}
	if differs(m.Version, was.Version) {
		ask.EngineVersion = text(m.Version)
	}
	if differs(m.Storage, was.Storage) {
		ask.StorageSize = number(m.Storage)
	}
	if differs(m.Subnets, was.Subnets) {
		ask.SubnetIDs = texts(ctx, m.Subnets, &a.Diagnostics)
	}
	if differs(m.SecurityGroups, was.SecurityGroups) {
		ask.SecurityGroups = texts(ctx, m.SecurityGroups, &a.Diagnostics)
	}
	if differs(m.Configuration, was.Configuration) {
		ask.Configuration = m.configuration(ctx, &a.Diagnostics)
	}
	if differs(m.Window, was.Window) {
		ask.MaintenanceWindowStartTime = m.window(ctx, &a.Diagnostics)
	}
	if differs(m.Logs, was.Logs) {
		ask.Logs = m.logs(ctx, &a.Diagnostics)
	}
	if differs(m.AutoMinor, was.AutoMinor) {
		ask.AutoMinorVersionUpgrade = flag(m.AutoMinor)
	}
	if a.Diagnostics.HasError() {
		return
	}
	before, err := b.lastEnded(ctx, was.ID.ValueString())
	if failed(&a.Diagnostics, "The broker cannot be read", err) {
		return
	}
	if changed {
		if _, err := b.mq.UpdateBroker(ctx, ask); failed(&a.Diagnostics, "The broker was not changed", err) {
			return
		}
	}
	if !m.FirstUser.Equal(was.FirstUser) && failed(&a.Diagnostics, "The first user was not changed", b.changeFirstUser(ctx, was.ID.ValueString(), was.firstUser(ctx, &a.Diagnostics), m.firstUser(ctx, &a.Diagnostics))) {
		return
	}
	if !m.Tags.Equal(was.Tags) && failed(&a.Diagnostics, "The tags were not changed", retag(ctx, b.service, was.ARN.ValueString(), was.tags(ctx, &a.Diagnostics), m.tags(ctx, &a.Diagnostics))) {
		return
	}
	m.ID = was.ID
	if failed(&a.Diagnostics, "The change of the broker was not brought to its end", b.settled(ctx, m.ID.ValueString(), before)) || failed(&a.Diagnostics, "The broker cannot be read", b.read(ctx, &m, &a.Diagnostics)) {
		return
	}
	a.Diagnostics.Append(a.State.Set(ctx, &m)...)
}

func (b *brokerResource) Delete(ctx context.Context, r resource.DeleteRequest, a *resource.DeleteResponse) {
	var m brokerModel
	if a.Diagnostics.Append(r.State.Get(ctx, &m)...); a.Diagnostics.HasError() {
		return
	}
	if _, err := b.mq.DeleteBroker(ctx, &mqapi.DeleteBrokerRequest{BrokerID: m.ID.ValueString()}); err != nil && !gone(err) {
		failed(&a.Diagnostics, "The broker was not removed", err)
		return
	}
	if err := b.settled(ctx, m.ID.ValueString(), time.Time{}); !gone(err) {
		failed(&a.Diagnostics, "The broker is not gone", err)
	}
}

func (*brokerResource) ImportState(ctx context.Context, r resource.ImportStateRequest, a *resource.ImportStateResponse) {
	resource.ImportStatePassthroughID(ctx, path.Root("id"), r, a)
}

// settledWithin bounds how long work on a broker may take. Instances that move bring their log along.
const settledWithin = 30 * time.Minute

// settled waits until nothing is at work on a broker, and says what went wrong. It is gone(err) when the broker is. before is when the operation before ended (lastEnded), whose failure is not of this change.
func (b *brokerResource) settled(ctx context.Context, id string, before time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, settledWithin)
	defer cancel()
	for {
		now, err := b.Broker(ctx, id)
		switch {
		case err != nil:
			return err
		case now.State == string(mqapi.BrokerStateCreationFailed):
			return fmt.Errorf("%s: %s", now.State, now.Problem)
		case now.Operation == nil && now.State == string(mqapi.BrokerStateRunning):
			if now.Last != nil && now.Last.Error != "" && !now.Last.Ended.Equal(before) {
				return fmt.Errorf("%s was rolled back: %s", now.Last.Operation, now.Last.Error)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is %s after %v: %s", now.State, settledWithin, now.Problem)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// lastEnded is when the newest operation on a broker ended; zero if there was none.
func (b *brokerResource) lastEnded(ctx context.Context, id string) (time.Time, error) {
	now, err := b.Broker(ctx, id)
	if err != nil || now.Last == nil {
		return time.Time{}, err
	}
	return now.Last.Ended, nil
}

// read fills the state from the service.
func (b *brokerResource) read(ctx context.Context, m *brokerModel, d *diag.Diagnostics) error {
	now, err := b.mq.DescribeBroker(ctx, &mqapi.DescribeBrokerRequest{BrokerID: m.ID.ValueString()})
	if err != nil {
		return err
	}
	own, err := b.Broker(ctx, m.ID.ValueString())
	if err != nil {
		return err
	}
	m.ARN, m.Name, m.Mode, m.Type = types.StringPointerValue(now.BrokerARN), types.StringPointerValue(now.BrokerName), types.StringPointerValue((*string)(now.DeploymentMode)), types.StringPointerValue(now.HostInstanceType)
	m.Version, m.Storage, m.AutoMinor = types.StringPointerValue(now.EngineVersion), types.Int32PointerValue(now.StorageSize), types.BoolValue(now.AutoMinorVersionUpgrade != nil && *now.AutoMinorVersionUpgrade)
	if now.PendingEngineVersion != nil {
		m.Version = types.StringPointerValue(now.PendingEngineVersion) // what is wanted, and waits for the window
	}
	set := func(list []string) types.Set {
		v, problems := types.SetValueFrom(ctx, types.StringType, append([]string{}, list...))
		d.Append(problems...)
		return v
	}
	m.Subnets, m.SecurityGroups = set(now.SubnetIDs), set(now.SecurityGroups)
	if c := now.Configurations; c != nil && c.Current != nil {
		m.Configuration = types.ObjectValueMust(configurationTypes, map[string]attr.Value{"id": types.StringValue(c.Current.ID), "revision": types.Int32PointerValue(c.Current.Revision)})
	} else {
		m.Configuration = types.ObjectNull(configurationTypes)
	}
	if w := now.MaintenanceWindowStartTime; w != nil {
		m.Window = types.ObjectValueMust(windowTypes, map[string]attr.Value{"day_of_week": types.StringValue(string(w.DayOfWeek)), "time_of_day": types.StringValue(w.TimeOfDay), "time_zone": types.StringPointerValue(w.TimeZone)})
	} else {
		m.Window = types.ObjectNull(windowTypes)
	}
	logs := map[string]attr.Value{"general": types.BoolValue(false), "audit": types.BoolValue(false)}
	if l := now.Logs; l != nil {
		logs["general"], logs["audit"] = types.BoolValue(l.General), types.BoolValue(l.Audit != nil && *l.Audit)
	}
	m.Logs = types.ObjectValueMust(logsTypes, logs)
	if len(now.Tags) > 0 || !m.Tags.IsNull() {
		tags, problems := types.MapValueFrom(ctx, types.StringType, now.Tags)
		d.Append(problems...)
		m.Tags = tags
	}
	var instances []attr.Value
	for _, i := range now.BrokerInstances {
		endpoints, problems := types.ListValueFrom(ctx, types.StringType, i.Endpoints)
		d.Append(problems...)
		instances = append(instances, types.ObjectValueMust(instanceTypes, map[string]attr.Value{"ip_address": types.StringPointerValue(i.IPAddress), "console_url": types.StringPointerValue(i.ConsoleURL), "endpoints": endpoints}))
	}
	m.Instances = types.ListValueMust(types.ObjectType{AttrTypes: instanceTypes}, instances)
	m.Active = types.StringValue(own.Active)
	return nil
}

func (m *brokerModel) configuration(ctx context.Context, d *diag.Diagnostics) *mqapi.ConfigurationID {
	if m.Configuration.IsNull() || m.Configuration.IsUnknown() {
		return nil
	}
	var c configurationModel
	d.Append(m.Configuration.As(ctx, &c, asIs)...)
	return &mqapi.ConfigurationID{ID: c.ID.ValueString(), Revision: number(c.Revision)}
}

func (m *brokerModel) window(ctx context.Context, d *diag.Diagnostics) *mqapi.WeeklyStartTime {
	if m.Window.IsNull() || m.Window.IsUnknown() {
		return nil
	}
	var w windowModel
	d.Append(m.Window.As(ctx, &w, asIs)...)
	return &mqapi.WeeklyStartTime{DayOfWeek: mqapi.DayOfWeek(w.Day.ValueString()), TimeOfDay: w.Time.ValueString(), TimeZone: text(w.Zone)}
}

func (m *brokerModel) logs(ctx context.Context, d *diag.Diagnostics) *mqapi.Logs {
	if m.Logs.IsNull() || m.Logs.IsUnknown() {
		return nil
	}
	var l logsModel
	d.Append(m.Logs.As(ctx, &l, asIs)...)
	return &mqapi.Logs{General: flag(l.General), Audit: flag(l.Audit)}
}

func (m *brokerModel) firstUser(ctx context.Context, d *diag.Diagnostics) *mqapi.User {
	if m.FirstUser.IsNull() || m.FirstUser.IsUnknown() {
		return nil
	}
	var u firstUserModel
	d.Append(m.FirstUser.As(ctx, &u, asIs)...)
	return &mqapi.User{Username: u.Name.ValueString(), Password: u.Password.ValueString(), Groups: texts(ctx, u.Groups, d)}
}

// changeFirstUser makes the first user another one, or as it is to be. was is nil after an import.
func (b *brokerResource) changeFirstUser(ctx context.Context, id string, was, now *mqapi.User) error {
	groups := append([]string{}, now.Groups...)
	err := b.mq.UpdateUser(ctx, &mqapi.UpdateUserRequest{BrokerID: id, Username: now.Username, Password: &now.Password, Groups: groups})
	if gone(err) {
		err = b.mq.CreateUser(ctx, &mqapi.CreateUserRequest{BrokerID: id, Username: now.Username, Password: now.Password, Groups: groups})
	}
	if err != nil || was == nil || was.Username == now.Username {
		return err
	}
	if err = b.mq.DeleteUser(ctx, &mqapi.DeleteUserRequest{BrokerID: id, Username: was.Username}); gone(err) {
		return nil
	}
	return err
}

func (m *brokerModel) tags(ctx context.Context, d *diag.Diagnostics) map[string]string {
	if m.Tags.IsNull() || m.Tags.IsUnknown() {
		return nil
	}
	tags := map[string]string{}
	d.Append(m.Tags.ElementsAs(ctx, &tags, false)...)
	return tags
}

// retag makes the tags of a broker or a configuration others.
func retag(ctx context.Context, s *service, arn string, was, now map[string]string) error {
	var less []string
	for key := range was {
		if _, stays := now[key]; !stays {
			less = append(less, key)
		}
	}
	if len(less) > 0 {
		if err := s.mq.DeleteTags(ctx, &mqapi.DeleteTagsRequest{ResourceARN: arn, TagKeys: less}); err != nil {
			return err
		}
	}
	if len(now) == 0 {
		return nil
	}
	return s.mq.CreateTags(ctx, &mqapi.CreateTagsRequest{ResourceARN: arn, Tags: now})
}

// brokerData is the data source godwit_broker: where clients connect, by name.
type brokerData struct{ *service }

type brokerDataModel struct {
	Name      types.String `tfsdk:"name"`
	ID        types.String `tfsdk:"id"`
	State     types.String `tfsdk:"state"`
	Active    types.String `tfsdk:"active_instance"`
	Endpoints types.List   `tfsdk:"endpoints"`
}

func (*brokerData) Metadata(_ context.Context, _ datasource.MetadataRequest, r *datasource.MetadataResponse) {
	r.TypeName = "godwit_broker"
}

func (*brokerData) Schema(_ context.Context, _ datasource.SchemaRequest, r *datasource.SchemaResponse) {
	r.Schema = dataschema.Schema{Description: "A broker of the service, by its name or id.", Attributes: map[string]dataschema.Attribute{
		"name":            dataschema.StringAttribute{Required: true},
		"id":              dataschema.StringAttribute{Computed: true},
		"state":           dataschema.StringAttribute{Computed: true},
		"active_instance": dataschema.StringAttribute{Computed: true},
		"endpoints":       dataschema.ListAttribute{Computed: true, ElementType: types.StringType, Description: "Of all instances, the active one's first."},
	}}
}

func (b *brokerData) Configure(_ context.Context, r datasource.ConfigureRequest, _ *datasource.ConfigureResponse) {
	if s, ok := r.ProviderData.(*service); ok {
		b.service = s
	}
}

func (b *brokerData) Read(ctx context.Context, r datasource.ReadRequest, a *datasource.ReadResponse) {
	var m brokerDataModel
	if a.Diagnostics.Append(r.Config.Get(ctx, &m)...); a.Diagnostics.HasError() {
		return
	}
	now, err := b.Broker(ctx, m.Name.ValueString())
	if failed(&a.Diagnostics, "There is no such broker", err) {
		return
	}
	var first, rest []string
	for _, i := range now.Instances {
		if i.Active {
			first = append(first, i.Endpoints...)
		} else {
			rest = append(rest, i.Endpoints...)
		}
	}
	list, problems := types.ListValueFrom(ctx, types.StringType, append(first, rest...))
	a.Diagnostics.Append(problems...)
	m.ID, m.State, m.Active, m.Endpoints = types.StringValue(now.ID), types.StringValue(now.State), types.StringValue(now.Active), list
	a.Diagnostics.Append(a.State.Set(ctx, &m)...)
}
