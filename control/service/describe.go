package service

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/godwitmq/godwit/control/mqapi"
	"github.com/godwitmq/godwit/control/plane"
)

// protocols are the endpoints that instances have, in Amazon MQ's order, which clients rely on: Terraform's users name endpoints by their place. amqp+ssl, mqtt+ssl and wss come
// to their places when instances speak them.
var protocols = []struct {
	scheme string
	port   func(plane.Ports) int
}{
	{"ssl", func(p plane.Ports) int { return p.OpenWireTLS }},
	{"stomp+ssl", func(p plane.Ports) int { return p.STOMPTLS }},
}

// Endpoints are the URLs at which clients reach an instance.
func Endpoints(i *plane.Instance) []string {
	var list []string
	ports := plane.PortsOf(i.Slot)
	for _, p := range protocols {
		list = append(list, at(p.scheme, i, p.port(ports)))
	}
	return list
}

func at(scheme string, i *plane.Instance, port int) string {
	host := i.Address.String()
	if i.Address.Is6() {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("%s://%s:%d", scheme, host, port)
}

// instances are those of a broker that clients know of, by number.
func instances(b *plane.Broker) []*plane.Instance {
	var list []*plane.Instance
	for _, number := range []int{1, 2} {
		if i := b.Instance(number); i != nil {
			list = append(list, i)
		}
	}
	return list
}

// DescribeBroker tells all of one.
func (s *Service) DescribeBroker(_ context.Context, c mqapi.Caller, r *mqapi.DescribeBrokerRequest) (*mqapi.DescribeBrokerResponse, error) {
	_, b, err := s.broker(c, r.BrokerID)
	if err != nil {
		return nil, err
	}
	how, _ := b.State()
	d := &mqapi.DescribeBrokerResponse{
		ActionsRequired: actions(b), AuthenticationStrategy: strategy(b.LDAP), LDAPServerMetadata: directoryShown(b.LDAP), AutoMinorVersionUpgrade: &b.AutoMinor, BrokerARN: new(c.BrokerARN(b.Name, b.ID)), BrokerID: &b.ID,
		BrokerInstances: []mqapi.BrokerInstance{}, BrokerName: &b.Name, BrokerState: new(mqapi.BrokerState(how)), Configurations: &mqapi.Configurations{Current: configurationID(b.Configuration)},
		Created: &mqapi.Timestamp{Time: b.Created}, DeploymentMode: new(mqapi.DeploymentMode(b.Goal.Mode)), EngineType: new(mqapi.EngineTypeActiveMQ), EngineVersion: &b.Goal.Version, HostInstanceType: &b.Goal.Type,
		Logs:                       &mqapi.LogsSummary{Audit: &b.Logs.Audit, General: b.Logs.General, GeneralLogGroup: logGroup(b, "general")},
		MaintenanceWindowStartTime: &mqapi.WeeklyStartTime{DayOfWeek: mqapi.DayOfWeek(b.MaintenanceWindow.Day), TimeOfDay: b.MaintenanceWindow.Time, TimeZone: new(cmp.Or(b.MaintenanceWindow.Zone, "UTC"))},
		PubliclyAccessible:         &b.Public, SecurityGroups: append([]string{}, b.SecurityGroups...), StorageSize: new(int32(b.StorageGB)), StorageType: new(mqapi.BrokerStorageType(cmp.Or(b.StorageType, "efs"))),
		SubnetIDs: subnets(b), Tags: tags(b.Tags), Users: []mqapi.UserSummary{}, DataReplicationMode: new(mqapi.DataReplicationModeNone),
	}
	if b.Logs.Audit {
		d.Logs.AuditLogGroup = new(logGroup(b, "audit"))
	}
	if b.PendingVersion != "" {
		d.PendingEngineVersion = &b.PendingVersion
	}
	for _, ref := range b.Configurations {
		d.Configurations.History = append(d.Configurations.History, *configurationID(ref))
	}
	page := s.options.ConsoleURL + "b/" + b.ID + "/"
	for _, i := range instances(b) {
		active := i.Number == b.Active
		instance := mqapi.BrokerInstance{ConsoleURL: &page, Endpoints: Endpoints(i), IPAddress: new(i.Address.String()), Active: &active}
		if active {
			instance.ActiveSince = &mqapi.Timestamp{Time: b.ActiveSince}
		}
		d.BrokerInstances = append(d.BrokerInstances, instance)
	}
	for _, name := range sorted(b.Users) {
		d.Users = append(d.Users, mqapi.UserSummary{Username: name})
	}
	return d, nil
}

// actions say what keeps a broker from being well.
func actions(b *plane.Broker) []mqapi.ActionRequired {
	how, words := b.State()
	if words == "" {
		return nil
	}
	code := "INSTANCE_DOWN"
	switch {
	case how == plane.CreationFailed:
		code = "CREATION_FAILED"
	case b.Operation != nil && b.Operation.Stuck:
		code = "OPERATION_FAILS"
	case b.Blocked != "":
		code = "REPAIR_BLOCKED"
	}
	return []mqapi.ActionRequired{{ActionRequiredCode: &code, ActionRequiredInfo: &words}}
}

func logGroup(b *plane.Broker, kind string) string {
	return "/aws/amazonmq/broker/" + b.ID + "/" + kind
}

// subnets are those that were asked for, else those in which the instances are.
func subnets(b *plane.Broker) []string {
	if len(b.Goal.Subnets) > 0 {
		return b.Goal.Subnets
	}
	list := []string{}
	for _, i := range instances(b) {
		if i.Subnet != "" && !slices.Contains(list, i.Subnet) {
			list = append(list, i.Subnet)
		}
	}
	return list
}

// tags are never absent.
func tags(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// DescribeBrokerEngineTypes lists the versions that brokers can have.
func (s *Service) DescribeBrokerEngineTypes(_ context.Context, _ mqapi.Caller, r *mqapi.DescribeBrokerEngineTypesRequest) (*mqapi.DescribeBrokerEngineTypesResponse, error) {
	state, err := s.state()
	if err != nil {
		return nil, err
	}
	var versions []mqapi.EngineVersion
	for _, v := range state.Versions() {
		versions = append(versions, mqapi.EngineVersion{Name: &v})
	}
	all := []mqapi.BrokerEngineType{{EngineType: new(mqapi.EngineTypeActiveMQ), EngineVersions: versions}}
	page, next := mqapi.Page(all, func(t mqapi.BrokerEngineType) string { return string(*t.EngineType) }, r.NextToken, r.MaxResults)
	return &mqapi.DescribeBrokerEngineTypesResponse{BrokerEngineTypes: page, MaxResults: r.MaxResults, NextToken: next}, nil
}

// hasEBS says whether an instance type may be had with Amazon's storage type ebs. It makes no difference here, but Amazon's own types keep to Amazon's rule.
func hasEBS(t *plane.InstanceType) bool { return t.Own || strings.HasPrefix(t.Name, "mq.m5.") }

// DescribeBrokerInstanceOptions lists instance types, with each storage type that goes with them, and the zones of the nodes.
func (s *Service) DescribeBrokerInstanceOptions(_ context.Context, _ mqapi.Caller, r *mqapi.DescribeBrokerInstanceOptionsRequest) (*mqapi.DescribeBrokerInstanceOptionsResponse, error) {
	state, err := s.state()
	if err != nil {
		return nil, err
	}
	var zones []mqapi.AvailabilityZone
	seen := map[string]bool{}
	for _, n := range state.Nodes() {
		if !seen[n.Zone] {
			seen[n.Zone] = true
			zones = append(zones, mqapi.AvailabilityZone{Name: &n.Zone})
		}
	}
	var all []mqapi.BrokerInstanceOption
	for _, t := range state.InstanceTypes() {
		for _, storage := range []mqapi.BrokerStorageType{mqapi.BrokerStorageTypeEBS, mqapi.BrokerStorageTypeEFS} {
			modes := []mqapi.DeploymentMode{mqapi.DeploymentModeSingleInstance}
			if storage == mqapi.BrokerStorageTypeEFS {
				modes = append(modes, mqapi.DeploymentModeActiveStandbyMultiAz)
			}
			if storage == mqapi.BrokerStorageTypeEBS && !hasEBS(t) || r.HostInstanceType != nil && *r.HostInstanceType != t.Name || r.StorageType != nil && !strings.EqualFold(*r.StorageType, string(storage)) {
				continue
			}
			all = append(all, mqapi.BrokerInstanceOption{AvailabilityZones: zones, EngineType: new(mqapi.EngineTypeActiveMQ), HostInstanceType: &t.Name, StorageType: &storage,
				SupportedDeploymentModes: modes, SupportedEngineVersions: state.Versions()})
		}
	}
	id := func(o mqapi.BrokerInstanceOption) string { return *o.HostInstanceType + " " + string(*o.StorageType) }
	slices.SortFunc(all, func(a, b mqapi.BrokerInstanceOption) int { return strings.Compare(id(a), id(b)) })
	page, next := mqapi.Page(all, id, r.NextToken, r.MaxResults)
	return &mqapi.DescribeBrokerInstanceOptionsResponse{BrokerInstanceOptions: page, MaxResults: r.MaxResults, NextToken: next}, nil
}
