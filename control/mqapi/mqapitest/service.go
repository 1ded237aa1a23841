// Package mqapitest has a Service in memory for tests of what is in front of it: everything happens at once, and nothing is behind a broker.
package mqapitest

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godwitmq/godwit/control/mqapi"
)

// Keys are access keys by their ids.
type Keys map[string]mqapi.Key

// Secret looks one up.
func (k Keys) Secret(_ context.Context, id string) (mqapi.Key, error) {
	key, ok := k[id]
	if !ok {
		return mqapi.Key{}, mqapi.ErrUnknownKey
	}
	return key, nil
}

// Service keeps brokers and configurations of any number of accounts and regions. Its zero value is ready.
type Service struct {
	mu       sync.Mutex
	made     int
	accounts map[string]*account // by account and region
	tokens   map[string]created  // by account, region and creatorRequestId
}

type created struct {
	fingerprint [32]byte
	answer      *mqapi.CreateBrokerResponse
}

type account struct {
	brokers        map[string]*broker
	configurations map[string]*configuration
}

type broker struct {
	describe mqapi.DescribeBrokerResponse
	users    map[string]mqapi.User
	active   int // 1 or 2
}

type configuration struct {
	describe  mqapi.DescribeConfigurationResponse
	revisions []mqapi.ConfigurationRevision
	data      []string
}

var secret = []byte("of the fingerprints")

// in locks the service and gives the caller's part of it.
func (s *Service) in(c mqapi.Caller) (*account, func()) {
	s.mu.Lock()
	if s.accounts == nil {
		s.accounts, s.tokens = map[string]*account{}, map[string]created{}
	}
	where := c.Account + "/" + c.Region
	if s.accounts[where] == nil {
		s.accounts[where] = &account{brokers: map[string]*broker{}, configurations: map[string]*configuration{}}
	}
	return s.accounts[where], s.mu.Unlock
}

func (s *Service) newID(kind string) string {
	s.made++
	return fmt.Sprintf("%s-%08d-0000-4000-8000-000000000000", kind, s.made)
}

func now() *mqapi.Timestamp { return &mqapi.Timestamp{Time: time.Now()} }

func (a *account) broker(id string) (*broker, error) {
	if b := a.brokers[id]; b != nil {
		return b, nil
	}
	return nil, mqapi.Errorf(mqapi.NotFound, "broker-id", "Can't find requested broker [%s]. Make sure your broker exists.", id)
}

func (a *account) configuration(id string) (*configuration, error) {
	if c := a.configurations[id]; c != nil {
		return c, nil
	}
	return nil, mqapi.Errorf(mqapi.NotFound, "configuration-id", "Can't find requested configuration [%s]. Make sure your configuration exists.", id)
}

// tagged is where the tags of what an ARN names are.
func (a *account) tagged(arn string) (*map[string]string, error) {
	name, err := mqapi.ParseARN(arn)
	if err != nil {
		return nil, err
	}
	if b := a.brokers[name.ID]; b != nil {
		return &b.describe.Tags, nil
	}
	if c := a.configurations[name.ID]; c != nil {
		return &c.describe.Tags, nil
	}
	return nil, mqapi.Errorf(mqapi.NotFound, "resource-arn", "there is no %s %s", name.Kind, name.ID)
}

// CreateBroker makes one that runs at once.
func (s *Service) CreateBroker(_ context.Context, c mqapi.Caller, r *mqapi.CreateBrokerRequest) (*mqapi.CreateBrokerResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	var token string
	if r.CreatorRequestID != nil {
		token = c.Account + "/" + c.Region + "/" + *r.CreatorRequestID
		if before, ok := s.tokens[token]; ok {
			if before.fingerprint != r.Fingerprint(secret) {
				return nil, mqapi.Errorf(mqapi.Conflict, "creatorRequestId", "this creatorRequestId was used for another broker")
			}
			return before.answer, nil
		}
	}
	for _, b := range a.brokers {
		if *b.describe.BrokerName == r.BrokerName {
			return nil, mqapi.Errorf(mqapi.Conflict, "brokerName", "Broker %s already exists.", r.BrokerName)
		}
	}
	id := s.newID("b")
	b := &broker{users: map[string]mqapi.User{}, active: 1}
	for _, u := range r.Users {
		b.users[u.Username] = u
	}
	logs := mqapi.LogsSummary{GeneralLogGroup: "/aws/amazonmq/broker/" + id + "/general"}
	if r.Logs != nil {
		logs.General, logs.Audit = r.Logs.General != nil && *r.Logs.General, r.Logs.Audit
	}
	d := mqapi.DescribeBrokerResponse{
		AuthenticationStrategy: new(mqapi.AuthenticationStrategySimple), AutoMinorVersionUpgrade: new(r.AutoMinorVersionUpgrade != nil && *r.AutoMinorVersionUpgrade),
		BrokerARN: new(c.BrokerARN(r.BrokerName, id)), BrokerID: &id, BrokerName: &r.BrokerName, BrokerState: new(mqapi.BrokerStateRunning), Created: now(),
		Configurations: &mqapi.Configurations{Current: r.Configuration},
		DeploymentMode: &r.DeploymentMode, EngineType: &r.EngineType, EngineVersion: r.EngineVersion, HostInstanceType: &r.HostInstanceType, Logs: &logs,
		LDAPServerMetadata: withoutPassword(r.LDAPServerMetadata), MaintenanceWindowStartTime: r.MaintenanceWindowStartTime, PubliclyAccessible: &r.PubliclyAccessible, SecurityGroups: r.SecurityGroups,
		StorageSize: r.StorageSize, StorageType: new(mqapi.BrokerStorageTypeEFS), SubnetIDs: r.SubnetIDs, Tags: r.Tags,
	}
	if d.EngineVersion == nil {
		d.EngineVersion = new("5.19")
	}
	if r.StorageType != nil {
		d.StorageType = r.StorageType
	}
	instances := 1
	if r.DeploymentMode == mqapi.DeploymentModeActiveStandbyMultiAz {
		instances = 2
	}
	for i := 1; i <= instances; i++ {
		host := fmt.Sprintf("%s-%d.mq.%s.amazonaws.com", id, i, c.Region)
		d.BrokerInstances = append(d.BrokerInstances, mqapi.BrokerInstance{
			ConsoleURL: new("https://" + host + ":8162"), IPAddress: new(fmt.Sprintf("127.0.1.%d", i)),
			Endpoints: []string{"ssl://" + host + ":61617", "amqp+ssl://" + host + ":5671", "stomp+ssl://" + host + ":61614", "mqtt+ssl://" + host + ":8883", "wss://" + host + ":61619"},
		})
	}
	b.describe = d
	a.brokers[id] = b
	answer := &mqapi.CreateBrokerResponse{BrokerARN: d.BrokerARN, BrokerID: d.BrokerID}
	if token != "" {
		s.tokens[token] = created{r.Fingerprint(secret), answer}
	}
	return answer, nil
}

func withoutPassword(m *mqapi.LDAPServerMetadataInput) *mqapi.LDAPServerMetadataOutput {
	if m == nil {
		return nil
	}
	return &mqapi.LDAPServerMetadataOutput{Hosts: m.Hosts, RoleBase: m.RoleBase, RoleName: m.RoleName, RoleSearchMatching: m.RoleSearchMatching, RoleSearchSubtree: m.RoleSearchSubtree,
		ServiceAccountUsername: m.ServiceAccountUsername, UserBase: m.UserBase, UserRoleName: m.UserRoleName, UserSearchMatching: m.UserSearchMatching, UserSearchSubtree: m.UserSearchSubtree}
}

// DescribeBroker tells all of one.
func (s *Service) DescribeBroker(_ context.Context, c mqapi.Caller, r *mqapi.DescribeBrokerRequest) (*mqapi.DescribeBrokerResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	b, err := a.broker(r.BrokerID)
	if err != nil {
		return nil, err
	}
	d := b.describe
	d.Users = b.summaries()
	d.BrokerInstances = slices.Clone(d.BrokerInstances)
	for i := range d.BrokerInstances {
		d.BrokerInstances[i].Active = new(i+1 == b.active)
		if i+1 == b.active {
			d.BrokerInstances[i].ActiveSince = d.Created
		}
	}
	d.Tags = maps.Clone(d.Tags)
	return &d, nil
}

func (b *broker) summaries() []mqapi.UserSummary {
	list := []mqapi.UserSummary{}
	for _, name := range slices.Sorted(maps.Keys(b.users)) {
		list = append(list, mqapi.UserSummary{Username: name})
	}
	return list
}

// ListBrokers lists them by id.
func (s *Service) ListBrokers(_ context.Context, c mqapi.Caller, r *mqapi.ListBrokersRequest) (*mqapi.ListBrokersResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	var all []mqapi.BrokerSummary
	for _, id := range slices.Sorted(maps.Keys(a.brokers)) {
		d := a.brokers[id].describe
		all = append(all, mqapi.BrokerSummary{BrokerARN: d.BrokerARN, BrokerID: d.BrokerID, BrokerName: d.BrokerName, BrokerState: d.BrokerState, Created: d.Created,
			DeploymentMode: *d.DeploymentMode, EngineType: *d.EngineType, HostInstanceType: d.HostInstanceType})
	}
	page, next := mqapi.Page(all, func(b mqapi.BrokerSummary) string { return *b.BrokerID }, r.NextToken, r.MaxResults)
	return &mqapi.ListBrokersResponse{BrokerSummaries: page, NextToken: next}, nil
}

// UpdateBroker changes what was given, at once.
func (s *Service) UpdateBroker(_ context.Context, c mqapi.Caller, r *mqapi.UpdateBrokerRequest) (*mqapi.UpdateBrokerResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	b, err := a.broker(r.BrokerID)
	if err != nil {
		return nil, err
	}
	if r.Plan != nil && *r.Plan {
		return &mqapi.UpdateBrokerResponse{BrokerID: &r.BrokerID, Cost: new("restart: no, failover: no")}, nil
	}
	d := &b.describe
	if r.SubnetIDs != nil {
		d.SubnetIDs = r.SubnetIDs
	}
	if r.DeploymentMode != nil && *r.DeploymentMode != *d.DeploymentMode {
		return nil, mqapi.Errorf(mqapi.BadRequest, "deploymentMode", "this service in memory cannot change it")
	}
	set(&d.AutoMinorVersionUpgrade, r.AutoMinorVersionUpgrade)
	set(&d.EngineVersion, r.EngineVersion)
	set(&d.HostInstanceType, r.HostInstanceType)
	set(&d.MaintenanceWindowStartTime, r.MaintenanceWindowStartTime)
	set(&d.StorageSize, r.StorageSize)
	if r.SecurityGroups != nil {
		d.SecurityGroups = r.SecurityGroups
	}
	if r.Configuration != nil {
		d.Configurations = &mqapi.Configurations{Current: r.Configuration}
	}
	if r.Logs != nil && r.Logs.General != nil {
		d.Logs.General = *r.Logs.General
	}
	return &mqapi.UpdateBrokerResponse{BrokerID: d.BrokerID, AutoMinorVersionUpgrade: r.AutoMinorVersionUpgrade, Configuration: r.Configuration, EngineVersion: r.EngineVersion,
		HostInstanceType: r.HostInstanceType, LDAPServerMetadata: withoutPassword(r.LDAPServerMetadata), Logs: r.Logs, MaintenanceWindowStartTime: r.MaintenanceWindowStartTime,
		SecurityGroups: r.SecurityGroups, StorageSize: r.StorageSize, Cost: new("restart: no, failover: no"), DeploymentMode: r.DeploymentMode, SubnetIDs: r.SubnetIDs}, nil
}

func set[T any](to **T, from *T) {
	if from != nil {
		*to = from
	}
}

// DeleteBroker forgets one.
func (s *Service) DeleteBroker(_ context.Context, c mqapi.Caller, r *mqapi.DeleteBrokerRequest) (*mqapi.DeleteBrokerResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	if _, err := a.broker(r.BrokerID); err != nil {
		return nil, err
	}
	delete(a.brokers, r.BrokerID)
	return &mqapi.DeleteBrokerResponse{BrokerID: &r.BrokerID}, nil
}

// RebootBroker looks whether there is such a broker.
func (s *Service) RebootBroker(_ context.Context, c mqapi.Caller, r *mqapi.RebootBrokerRequest) error {
	a, unlock := s.in(c)
	defer unlock()
	_, err := a.broker(r.BrokerID)
	return err
}

// SwitchoverBroker makes the other instance active.
func (s *Service) SwitchoverBroker(_ context.Context, c mqapi.Caller, r *mqapi.SwitchoverBrokerRequest) (*mqapi.SwitchoverBrokerResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	b, err := a.broker(r.BrokerID)
	if err != nil {
		return nil, err
	}
	if len(b.describe.BrokerInstances) < 2 {
		return nil, mqapi.Errorf(mqapi.Conflict, "", "the broker has one instance only")
	}
	instance := func(n int) string { return fmt.Sprintf("%s-%d", r.BrokerID, n) }
	answer := &mqapi.SwitchoverBrokerResponse{BrokerID: &r.BrokerID, From: new(instance(b.active)), Instance: new(instance(3 - b.active))}
	if r.Plan != nil && *r.Plan {
		answer.Clients = []mqapi.SwitchoverClient{{Service: new("billing"), RemoteAddress: new("127.0.0.1:4711"), Reasons: []string{"its URL has no failover:"}}}
		return answer, nil
	}
	b.active = 3 - b.active
	return answer, nil
}

// CreateUser adds one.
func (s *Service) CreateUser(_ context.Context, c mqapi.Caller, r *mqapi.CreateUserRequest) error {
	a, unlock := s.in(c)
	defer unlock()
	b, err := a.broker(r.BrokerID)
	if err != nil {
		return err
	}
	if _, known := b.users[r.Username]; known {
		return mqapi.Errorf(mqapi.Conflict, "username", "User %s already exists.", r.Username)
	}
	b.users[r.Username] = mqapi.User{Username: r.Username, Password: r.Password, Groups: r.Groups, ConsoleAccess: r.ConsoleAccess}
	return nil
}

func (a *account) user(brokerID, name string) (*broker, mqapi.User, error) {
	b, err := a.broker(brokerID)
	if err != nil {
		return nil, mqapi.User{}, err
	}
	u, known := b.users[name]
	if !known {
		return nil, u, mqapi.Errorf(mqapi.NotFound, "username", "Can't find requested user [%s]. Make sure your user exists.", name)
	}
	return b, u, nil
}

// UpdateUser changes what was given.
func (s *Service) UpdateUser(_ context.Context, c mqapi.Caller, r *mqapi.UpdateUserRequest) error {
	a, unlock := s.in(c)
	defer unlock()
	b, u, err := a.user(r.BrokerID, r.Username)
	if err != nil {
		return err
	}
	if r.Password != nil {
		u.Password = *r.Password
	}
	if r.Groups != nil {
		u.Groups = r.Groups
	}
	set(&u.ConsoleAccess, r.ConsoleAccess)
	b.users[r.Username] = u
	return nil
}

// DeleteUser removes one.
func (s *Service) DeleteUser(_ context.Context, c mqapi.Caller, r *mqapi.DeleteUserRequest) error {
	a, unlock := s.in(c)
	defer unlock()
	b, _, err := a.user(r.BrokerID, r.Username)
	if err == nil {
		delete(b.users, r.Username)
	}
	return err
}

// DescribeUser tells all of one but the password.
func (s *Service) DescribeUser(_ context.Context, c mqapi.Caller, r *mqapi.DescribeUserRequest) (*mqapi.DescribeUserResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	_, u, err := a.user(r.BrokerID, r.Username)
	if err != nil {
		return nil, err
	}
	return &mqapi.DescribeUserResponse{BrokerID: &r.BrokerID, Username: &r.Username, Groups: append([]string{}, u.Groups...), ConsoleAccess: new(u.ConsoleAccess != nil && *u.ConsoleAccess)}, nil
}

// ListUsers lists them by name.
func (s *Service) ListUsers(_ context.Context, c mqapi.Caller, r *mqapi.ListUsersRequest) (*mqapi.ListUsersResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	b, err := a.broker(r.BrokerID)
	if err != nil {
		return nil, err
	}
	page, next := mqapi.Page(b.summaries(), func(u mqapi.UserSummary) string { return u.Username }, r.NextToken, r.MaxResults)
	return &mqapi.ListUsersResponse{BrokerID: &r.BrokerID, Users: page, NextToken: next, MaxResults: r.MaxResults}, nil
}

// CreateConfiguration makes one with revision 1, which is an empty broker.
func (s *Service) CreateConfiguration(_ context.Context, c mqapi.Caller, r *mqapi.CreateConfigurationRequest) (*mqapi.CreateConfigurationResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	for _, other := range a.configurations {
		if *other.describe.Name == r.Name {
			return nil, mqapi.Errorf(mqapi.Conflict, "name", "Configuration %s already exists.", r.Name)
		}
	}
	id := s.newID("c")
	first := mqapi.ConfigurationRevision{Created: *now(), Description: new("Auto-generated default"), Revision: 1}
	d := mqapi.DescribeConfigurationResponse{ARN: new(c.ConfigurationARN(id)), AuthenticationStrategy: new(mqapi.AuthenticationStrategySimple), Created: &first.Created, Description: new(""), EngineType: &r.EngineType,
		EngineVersion: r.EngineVersion, ID: &id, LatestRevision: &first, Name: &r.Name, Tags: r.Tags}
	if d.EngineVersion == nil {
		d.EngineVersion = new("5.19")
	}
	a.configurations[id] = &configuration{describe: d, revisions: []mqapi.ConfigurationRevision{first},
		data: []string{base64.StdEncoding.EncodeToString([]byte(`<broker xmlns="http://activemq.apache.org/schema/core"/>`))}}
	return &mqapi.CreateConfigurationResponse{ARN: d.ARN, AuthenticationStrategy: d.AuthenticationStrategy, Created: d.Created, ID: d.ID, LatestRevision: &first, Name: d.Name}, nil
}

// UpdateConfiguration adds a revision.
func (s *Service) UpdateConfiguration(_ context.Context, c mqapi.Caller, r *mqapi.UpdateConfigurationRequest) (*mqapi.UpdateConfigurationResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	conf, err := a.configuration(r.ConfigurationID)
	if err != nil {
		return nil, err
	}
	next := mqapi.ConfigurationRevision{Created: *now(), Description: r.Description, Revision: int32(len(conf.revisions) + 1)}
	conf.revisions, conf.data = append(conf.revisions, next), append(conf.data, r.Data)
	conf.describe.LatestRevision = &next
	return &mqapi.UpdateConfigurationResponse{ARN: conf.describe.ARN, Created: conf.describe.Created, ID: conf.describe.ID, LatestRevision: &next, Name: conf.describe.Name, Warnings: []mqapi.SanitizationWarning{}}, nil
}

// DescribeConfiguration tells all of one.
func (s *Service) DescribeConfiguration(_ context.Context, c mqapi.Caller, r *mqapi.DescribeConfigurationRequest) (*mqapi.DescribeConfigurationResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	conf, err := a.configuration(r.ConfigurationID)
	if err != nil {
		return nil, err
	}
	d := conf.describe
	d.Tags = maps.Clone(d.Tags)
	return &d, nil
}

// DescribeConfigurationRevision gives its data.
func (s *Service) DescribeConfigurationRevision(_ context.Context, c mqapi.Caller, r *mqapi.DescribeConfigurationRevisionRequest) (*mqapi.DescribeConfigurationRevisionResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	conf, err := a.configuration(r.ConfigurationID)
	if err != nil {
		return nil, err
	}
	for i, revision := range conf.revisions {
		if fmt.Sprint(revision.Revision) == r.ConfigurationRevision {
			return &mqapi.DescribeConfigurationRevisionResponse{ConfigurationID: &r.ConfigurationID, Created: &revision.Created, Data: &conf.data[i], Description: revision.Description}, nil
		}
	}
	return nil, mqapi.Errorf(mqapi.NotFound, "configuration-revision", "there is no revision %s", r.ConfigurationRevision)
}

// ListConfigurations lists them by id.
func (s *Service) ListConfigurations(_ context.Context, c mqapi.Caller, r *mqapi.ListConfigurationsRequest) (*mqapi.ListConfigurationsResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	var all []mqapi.Configuration
	for _, id := range slices.Sorted(maps.Keys(a.configurations)) {
		d := a.configurations[id].describe
		all = append(all, mqapi.Configuration{ARN: *d.ARN, AuthenticationStrategy: *d.AuthenticationStrategy, Created: *d.Created, Description: *d.Description, EngineType: *d.EngineType,
			EngineVersion: *d.EngineVersion, ID: *d.ID, LatestRevision: *d.LatestRevision, Name: *d.Name, Tags: maps.Clone(d.Tags)})
	}
	page, next := mqapi.Page(all, func(c mqapi.Configuration) string { return c.ID }, r.NextToken, r.MaxResults)
	return &mqapi.ListConfigurationsResponse{Configurations: page, NextToken: next, MaxResults: r.MaxResults}, nil
}

// ListConfigurationRevisions lists them from the first on.
func (s *Service) ListConfigurationRevisions(_ context.Context, c mqapi.Caller, r *mqapi.ListConfigurationRevisionsRequest) (*mqapi.ListConfigurationRevisionsResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	conf, err := a.configuration(r.ConfigurationID)
	if err != nil {
		return nil, err
	}
	page, next := mqapi.Page(conf.revisions, func(r mqapi.ConfigurationRevision) string { return fmt.Sprintf("%010d", r.Revision) }, r.NextToken, r.MaxResults)
	return &mqapi.ListConfigurationRevisionsResponse{ConfigurationID: &r.ConfigurationID, Revisions: page, NextToken: next, MaxResults: r.MaxResults}, nil
}

// DeleteConfiguration forgets one that no broker has.
func (s *Service) DeleteConfiguration(_ context.Context, c mqapi.Caller, r *mqapi.DeleteConfigurationRequest) (*mqapi.DeleteConfigurationResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	if _, err := a.configuration(r.ConfigurationID); err != nil {
		return nil, err
	}
	for _, b := range a.brokers {
		if current := b.describe.Configurations.Current; current != nil && current.ID == r.ConfigurationID {
			return nil, mqapi.Errorf(mqapi.Conflict, "configuration-id", "broker %s has this configuration", *b.describe.BrokerName)
		}
	}
	delete(a.configurations, r.ConfigurationID)
	return &mqapi.DeleteConfigurationResponse{ConfigurationID: &r.ConfigurationID}, nil
}

// CreateTags sets some.
func (s *Service) CreateTags(_ context.Context, c mqapi.Caller, r *mqapi.CreateTagsRequest) error {
	a, unlock := s.in(c)
	defer unlock()
	tags, err := a.tagged(r.ResourceARN)
	if err != nil {
		return err
	}
	if *tags == nil {
		*tags = map[string]string{}
	}
	maps.Copy(*tags, r.Tags)
	return nil
}

// DeleteTags removes some.
func (s *Service) DeleteTags(_ context.Context, c mqapi.Caller, r *mqapi.DeleteTagsRequest) error {
	a, unlock := s.in(c)
	defer unlock()
	tags, err := a.tagged(r.ResourceARN)
	if err != nil {
		return err
	}
	for _, key := range r.TagKeys {
		delete(*tags, key)
	}
	return nil
}

// ListTags lists them.
func (s *Service) ListTags(_ context.Context, c mqapi.Caller, r *mqapi.ListTagsRequest) (*mqapi.ListTagsResponse, error) {
	a, unlock := s.in(c)
	defer unlock()
	tags, err := a.tagged(r.ResourceARN)
	if err != nil {
		return nil, err
	}
	answer := &mqapi.ListTagsResponse{Tags: map[string]string{}}
	maps.Copy(answer.Tags, *tags)
	return answer, nil
}

// DescribeBrokerEngineTypes lists the versions of the default catalog.
func (s *Service) DescribeBrokerEngineTypes(_ context.Context, _ mqapi.Caller, r *mqapi.DescribeBrokerEngineTypesRequest) (*mqapi.DescribeBrokerEngineTypesResponse, error) {
	var versions []mqapi.EngineVersion
	for _, v := range mqapi.DefaultCatalog().EngineVersions {
		versions = append(versions, mqapi.EngineVersion{Name: &v})
	}
	return &mqapi.DescribeBrokerEngineTypesResponse{MaxResults: r.MaxResults,
		BrokerEngineTypes: []mqapi.BrokerEngineType{{EngineType: new(mqapi.EngineTypeActiveMQ), EngineVersions: versions}}}, nil
}

// DescribeBrokerInstanceOptions lists the types of the default catalog.
func (s *Service) DescribeBrokerInstanceOptions(_ context.Context, c mqapi.Caller, r *mqapi.DescribeBrokerInstanceOptionsRequest) (*mqapi.DescribeBrokerInstanceOptionsResponse, error) {
	catalog := mqapi.DefaultCatalog()
	var all []mqapi.BrokerInstanceOption
	for _, t := range catalog.InstanceTypes {
		for _, storage := range []mqapi.BrokerStorageType{mqapi.BrokerStorageTypeEFS, mqapi.BrokerStorageTypeEBS} {
			modes := []mqapi.DeploymentMode{mqapi.DeploymentModeSingleInstance}
			if storage == mqapi.BrokerStorageTypeEFS {
				modes = append(modes, mqapi.DeploymentModeActiveStandbyMultiAz)
			}
			if storage == mqapi.BrokerStorageTypeEBS && !t.EBS || r.HostInstanceType != nil && *r.HostInstanceType != t.Name || r.StorageType != nil && !strings.EqualFold(*r.StorageType, string(storage)) {
				continue
			}
			all = append(all, mqapi.BrokerInstanceOption{AvailabilityZones: []mqapi.AvailabilityZone{{Name: new(c.Region + "a")}, {Name: new(c.Region + "b")}}, EngineType: new(mqapi.EngineTypeActiveMQ),
				HostInstanceType: &t.Name, StorageType: &storage, SupportedDeploymentModes: modes, SupportedEngineVersions: catalog.EngineVersions})
		}
	}
	id := func(o mqapi.BrokerInstanceOption) string { return *o.HostInstanceType + " " + string(*o.StorageType) }
	slices.SortFunc(all, func(a, b mqapi.BrokerInstanceOption) int { return strings.Compare(id(a), id(b)) })
	page, next := mqapi.Page(all, id, r.NextToken, r.MaxResults)
	return &mqapi.DescribeBrokerInstanceOptionsResponse{BrokerInstanceOptions: page, NextToken: next, MaxResults: r.MaxResults}, nil
}
