package mqapi

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var someone = Caller{Account: "123456789012", Region: "eu-central-1"}

// encrypted and ldap are rules of services that have what others have not.
var (
	encrypted = Rules{EncryptedDisks: true}
	ldap      = Rules{LDAP: true}
)

func pair(change func(*CreateBrokerRequest)) *CreateBrokerRequest {
	r := &CreateBrokerRequest{
		BrokerName: "payroll", DeploymentMode: DeploymentModeActiveStandbyMultiAz, EngineType: EngineTypeActiveMQ, EngineVersion: new("5.19"), HostInstanceType: "mq.m5.large",
		Users: []User{{Username: "ops", Password: "correct horse 7", Groups: []string{"admins"}}}, SubnetIDs: []string{"subnet-a", "subnet-b"}, SecurityGroups: []string{"sg-1"},
		Tags: map[string]string{"team": "pay"}, MaintenanceWindowStartTime: &WeeklyStartTime{DayOfWeek: DayOfWeekTuesday, TimeOfDay: "03:00", TimeZone: new("Europe/Berlin")},
	}
	change(r)
	return r
}

func single(change func(*CreateBrokerRequest)) *CreateBrokerRequest {
	return pair(func(r *CreateBrokerRequest) {
		r.DeploymentMode, r.SubnetIDs = DeploymentModeSingleInstance, nil
		change(r)
	})
}

func byLDAP(change func(*LDAPServerMetadataInput)) *CreateBrokerRequest {
	return pair(func(r *CreateBrokerRequest) {
		r.AuthenticationStrategy = new(AuthenticationStrategyLDAP)
		r.LDAPServerMetadata = &LDAPServerMetadataInput{Hosts: []string{"ldap.example"}, RoleBase: "ou=g", RoleSearchMatching: "(member={0})", ServiceAccountPassword: "p", ServiceAccountUsername: "cn=s",
			UserBase: "ou=u", UserSearchMatching: "(uid={0})"}
		change(r.LDAPServerMetadata)
	})
}

func names(n int, name string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(name, i)
	}
	return list
}

func tagged(n int) map[string]string {
	m := map[string]string{}
	for _, name := range names(n, "k%d") {
		m[name] = "v"
	}
	return m
}

func arn(s string) *ListTagsRequest { return &ListTagsRequest{ResourceARN: s} }

// Each rule, what it lets through at its edges, and what it does not, by the attribute that the error names.
func TestRules(t *testing.T) {
	type requests map[string]any
	type wrong struct {
		attribute string
		request   any
	}
	config := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	user := func(change func(*User)) *CreateBrokerRequest {
		return pair(func(r *CreateBrokerRequest) { change(&r.Users[0]) })
	}
	window := func(timeOfDay, zone string) *UpdateBrokerRequest {
		return &UpdateBrokerRequest{MaintenanceWindowStartTime: &WeeklyStartTime{DayOfWeek: DayOfWeekMonday, TimeOfDay: timeOfDay, TimeZone: &zone}}
	}
	// By attribute and operation of the rule, and which of them it is if there are several.
	tests := map[string]struct {
		rules Rules
		good  requests
		bad   map[string]wrong
	}{
		"brokerName": {
			good: requests{"longest": pair(func(r *CreateBrokerRequest) { r.BrokerName = strings.Repeat("a", 48) + "_-" })},
			bad: map[string]wrong{
				"empty":    {"brokerName", pair(func(r *CreateBrokerRequest) { r.BrokerName = "" })},
				"too long": {"brokerName", pair(func(r *CreateBrokerRequest) { r.BrokerName = strings.Repeat("a", 51) })},
				"a dot":    {"brokerName", pair(func(r *CreateBrokerRequest) { r.BrokerName = "a.b" })},
				"a line":   {"brokerName", pair(func(r *CreateBrokerRequest) { r.BrokerName = "ab\n" })},
			}},
		"name": {
			good: requests{"all kinds": &CreateConfigurationRequest{Name: "A-Z.a_z~0", EngineType: EngineTypeActiveMQ}},
			bad: map[string]wrong{
				"empty":    {"name", &CreateConfigurationRequest{EngineType: EngineTypeActiveMQ}},
				"too long": {"name", &CreateConfigurationRequest{Name: strings.Repeat("a", 151), EngineType: EngineTypeActiveMQ}},
				"a slash":  {"name", &CreateConfigurationRequest{Name: "a/b", EngineType: EngineTypeActiveMQ}},
			}},
		"username": {
			good: requests{"shortest": &DescribeUserRequest{Username: "ab"}, "longest": &DescribeUserRequest{Username: strings.Repeat("~", 100)}},
			bad: map[string]wrong{
				"one letter": {"username", &DescribeUserRequest{Username: "a"}},
				"too long":   {"username", &DeleteUserRequest{Username: strings.Repeat("a", 101)}},
				"a blank":    {"users[0].username", user(func(u *User) { u.Username = "a b" })},
			}},
		"groups[]": {
			good: requests{"all kinds": &UpdateUserRequest{Username: "ops", Groups: []string{"A-Z.a_z~0"}}},
			bad: map[string]wrong{
				"one letter": {"groups[1]", &UpdateUserRequest{Username: "ops", Groups: []string{"aa", "a"}}},
				"a comma":    {"users[0].groups[0]", user(func(u *User) { u.Groups = []string{"a,b"} })},
			}},
		"creatorRequestId": {
			good: requests{"longest": pair(func(r *CreateBrokerRequest) { r.CreatorRequestID = new(strings.Repeat("ü", 256)) })},
			bad: map[string]wrong{
				"empty":    {"creatorRequestId", pair(func(r *CreateBrokerRequest) { r.CreatorRequestID = new("") })},
				"too long": {"creatorRequestId", pair(func(r *CreateBrokerRequest) { r.CreatorRequestID = new(strings.Repeat("a", 257)) })},
			}},
		"instance": {
			good: requests{"second": &SwitchoverBrokerRequest{BrokerID: "b-1", Instance: new("b-1-2")}, "none": &SwitchoverBrokerRequest{BrokerID: "b-1"}},
			bad:  map[string]wrong{"a name": {"instance", &SwitchoverBrokerRequest{BrokerID: "b-1", Instance: new("second")}}},
		},
		"instance SwitchoverBroker": {
			bad: map[string]wrong{
				"another broker's": {"instance", &SwitchoverBrokerRequest{BrokerID: "b-1", Instance: new("b-2-1")}},
			}},
		"users": {
			good: requests{"most": pair(func(r *CreateBrokerRequest) {
				r.Users = nil
				for _, name := range names(250, "u%d") {
					r.Users = append(r.Users, User{Username: name, Password: "correct horse 7"})
				}
			})},
			bad: map[string]wrong{
				"too many": {"users", pair(func(r *CreateBrokerRequest) { r.Users = make([]User, 251) })},
				"twice":    {"users", pair(func(r *CreateBrokerRequest) { r.Users = append(r.Users, r.Users[0]) })},
			}},
		"groups": {
			good: requests{"most": &UpdateUserRequest{Username: "ops", Groups: names(20, "g%d")}, "none": &UpdateUserRequest{Username: "ops", Groups: []string{}}},
			bad: map[string]wrong{
				"too many": {"groups", &UpdateUserRequest{Username: "ops", Groups: names(21, "g%d")}},
				"twice":    {"users[0].groups", user(func(u *User) { u.Groups = []string{"aa", "aa"} })},
			}},
		"password": {
			good: requests{"shortest": &CreateUserRequest{Username: "ops", Password: "abcdabcdabcd"}, "longest": &CreateUserRequest{Username: "ops", Password: strings.Repeat("abcde", 50)},
				"letters, not bytes": &CreateUserRequest{Username: "ops", Password: strings.Repeat("äöüß", 62)}, "kept": &UpdateUserRequest{Username: "ops"}},
			bad: map[string]wrong{
				"too short":   {"password", &CreateUserRequest{Username: "ops", Password: "abcdabcdabc"}},
				"too long":    {"password", &UpdateUserRequest{Username: "ops", Password: new(strings.Repeat("abc", 83) + "de")}},
				"three kinds": {"password", &UpdateUserRequest{Username: "ops", Password: new("abcabcabcabc")}},
				"a comma":     {"users[0].password", user(func(u *User) { u.Password = "abcdabcdabc," })},
				"a colon":     {"users[0].password", user(func(u *User) { u.Password = "abcdabcdabc:" })},
				"equals":      {"users[0].password", user(func(u *User) { u.Password = "abcdabcdabc=" })},
			}},
		"replicationUser": {
			good: requests{"false": &CreateUserRequest{Username: "ops", Password: "abcdabcdabcd", ReplicationUser: new(false)}},
			bad: map[string]wrong{
				"true":        {"replicationUser", &UpdateUserRequest{Username: "ops", ReplicationUser: new(true)}},
				"at creation": {"users[0].replicationUser", user(func(u *User) { u.ReplicationUser = new(true) })},
			}},
		"engineType": {
			good: requests{"any case": &DescribeBrokerEngineTypesRequest{EngineType: new("activeMQ")}},
			bad: map[string]wrong{
				"RabbitMQ":   {"engineType", pair(func(r *CreateBrokerRequest) { r.EngineType = EngineTypeRabbitMQ })},
				"its filter": {"engineType", &DescribeBrokerEngineTypesRequest{EngineType: new("RabbitMQ")}},
				"none such":  {"engineType", &DescribeBrokerInstanceOptionsRequest{EngineType: new("Kafka")}},
			}},
		"engineVersion": {
			good: requests{"older": pair(func(r *CreateBrokerRequest) { r.EngineVersion = new("5.18") }), "none": pair(func(r *CreateBrokerRequest) { r.EngineVersion = nil })},
			bad: map[string]wrong{
				"patch level":        {"engineVersion", pair(func(r *CreateBrokerRequest) { r.EngineVersion = new("5.18.4") })},
				"unknown":            {"engineVersion", &UpdateBrokerRequest{EngineVersion: new("6.3")}},
				"of a configuration": {"engineVersion", &CreateConfigurationRequest{Name: "a", EngineType: EngineTypeActiveMQ, EngineVersion: new("5.17")}},
			}},
		"hostInstanceType CreateBroker": {
			good: requests{"smallest": pair(func(r *CreateBrokerRequest) { r.HostInstanceType = "mq.t3.micro" })},
			bad: map[string]wrong{
				"RabbitMQ's": {"hostInstanceType", &UpdateBrokerRequest{HostInstanceType: new("mq.m7g.medium")}},
				"empty":      {"hostInstanceType", pair(func(r *CreateBrokerRequest) { r.HostInstanceType = "" })},
			}},
		"hostInstanceType DescribeBrokerInstanceOptions": {
			good: requests{"one that there is not": &DescribeBrokerInstanceOptionsRequest{HostInstanceType: new("mq.x1.huge")}},
			bad:  map[string]wrong{"a blank": {"hostInstanceType", &DescribeBrokerInstanceOptionsRequest{HostInstanceType: new("a b")}}},
		},
		"storageType DescribeBrokerInstanceOptions": {
			good: requests{"any case": &DescribeBrokerInstanceOptionsRequest{StorageType: new("eFS")}},
			bad:  map[string]wrong{"none such": {"storageType", &DescribeBrokerInstanceOptionsRequest{StorageType: new("tape")}}},
		},
		"deploymentMode": {
			good: requests{"single": single(func(*CreateBrokerRequest) {})},
			bad:  map[string]wrong{"RabbitMQ's": {"deploymentMode", pair(func(r *CreateBrokerRequest) { r.DeploymentMode = DeploymentModeClusterMultiAz })}},
		},
		"authenticationStrategy": {
			good: requests{"simple": &UpdateBrokerRequest{AuthenticationStrategy: new(AuthenticationStrategySimple)}},
			bad:  map[string]wrong{"RabbitMQ's": {"authenticationStrategy", &UpdateBrokerRequest{AuthenticationStrategy: new(AuthenticationStrategyConfigManaged)}}},
		},
		"authenticationStrategy #2": {
			bad: map[string]wrong{
				"where there is none": {"authenticationStrategy", byLDAP(func(*LDAPServerMetadataInput) {})},
				"of a configuration":  {"authenticationStrategy", &CreateConfigurationRequest{Name: "a", EngineType: EngineTypeActiveMQ, AuthenticationStrategy: new(AuthenticationStrategyLDAP)}},
			}},
		"ldapServerMetadata.hosts": {rules: ldap,
			good: requests{"two": byLDAP(func(m *LDAPServerMetadataInput) { m.Hosts = []string{"a", "b"} })},
			bad: map[string]wrong{
				"none":  {"ldapServerMetadata.hosts", byLDAP(func(m *LDAPServerMetadataInput) { m.Hosts = []string{} })},
				"three": {"ldapServerMetadata.hosts", byLDAP(func(m *LDAPServerMetadataInput) { m.Hosts = []string{"a", "b", "c"} })},
				"twice": {"ldapServerMetadata.hosts", byLDAP(func(m *LDAPServerMetadataInput) { m.Hosts = []string{"a", "a"} })},
			}},
		"ldapServerMetadata.hosts[]": {rules: ldap,
			good: requests{"an address and a port": byLDAP(func(m *LDAPServerMetadataInput) { m.Hosts = []string{"[::1]:636"} })},
			bad:  map[string]wrong{"a URL": {"ldapServerMetadata.hosts[0]", byLDAP(func(m *LDAPServerMetadataInput) { m.Hosts = []string{"ldap://a"} })}},
		},
		"ldapServerMetadata.roleBase": {rules: ldap,
			bad: map[string]wrong{
				"empty":              {"ldapServerMetadata.roleBase", byLDAP(func(m *LDAPServerMetadataInput) { m.RoleBase = "" })},
				"too long":           {"ldapServerMetadata.userBase", byLDAP(func(m *LDAPServerMetadataInput) { m.UserBase = strings.Repeat("a", 1025) })},
				"nobody":             {"ldapServerMetadata.serviceAccountUsername", byLDAP(func(m *LDAPServerMetadataInput) { m.ServiceAccountUsername = "" })},
				"without a password": {"ldapServerMetadata.serviceAccountPassword", byLDAP(func(m *LDAPServerMetadataInput) { m.ServiceAccountPassword = "" })},
			}},
		"ldapServerMetadata.roleName": {rules: ldap,
			good: requests{"longest": byLDAP(func(m *LDAPServerMetadataInput) { m.RoleName = new(strings.Repeat("a", 256)) })},
			bad:  map[string]wrong{"too long": {"ldapServerMetadata.userRoleName", byLDAP(func(m *LDAPServerMetadataInput) { m.UserRoleName = new(strings.Repeat("a", 257)) })}},
		},
		"ldapServerMetadata.roleSearchMatching": {rules: ldap,
			good: requests{"by name": byLDAP(func(m *LDAPServerMetadataInput) { m.RoleSearchMatching = "(memberUid={1})" })},
			bad:  map[string]wrong{"the same for all": {"ldapServerMetadata.roleSearchMatching", byLDAP(func(m *LDAPServerMetadataInput) { m.RoleSearchMatching = "(cn=*)" })}},
		},
		"ldapServerMetadata.userSearchMatching": {rules: ldap,
			bad: map[string]wrong{"the same for all": {"ldapServerMetadata.userSearchMatching", byLDAP(func(m *LDAPServerMetadataInput) { m.UserSearchMatching = "(cn=*)" })}},
		},
		"ldapServerMetadata CreateBroker": {rules: ldap,
			good: requests{"both": byLDAP(func(*LDAPServerMetadataInput) {})},
			bad: map[string]wrong{
				"strategy alone": {"ldapServerMetadata", pair(func(r *CreateBrokerRequest) { r.AuthenticationStrategy = new(AuthenticationStrategyLDAP) })},
				"metadata alone": {"ldapServerMetadata", pair(func(r *CreateBrokerRequest) {
					r.LDAPServerMetadata = byLDAP(func(*LDAPServerMetadataInput) {}).LDAPServerMetadata
				})},
			}},
		"ldapServerMetadata UpdateBroker": {
			bad: map[string]wrong{"where there is none": {"ldapServerMetadata", &UpdateBrokerRequest{LDAPServerMetadata: byLDAP(func(*LDAPServerMetadataInput) {}).LDAPServerMetadata}}},
		},
		"encryptionOptions.kmsKeyId": {rules: encrypted,
			bad: map[string]wrong{"a key": {"encryptionOptions.kmsKeyId", pair(func(r *CreateBrokerRequest) {
				r.EncryptionOptions = &EncryptionOptions{KMSKeyID: new("arn:aws:kms:x"), UseAWSOwnedKey: true}
			})}},
		},
		"encryptionOptions.useAwsOwnedKey": {
			bad: map[string]wrong{
				"disks are not encrypted": {"encryptionOptions.useAwsOwnedKey", pair(func(r *CreateBrokerRequest) { r.EncryptionOptions = &EncryptionOptions{UseAWSOwnedKey: true} })},
				"a key of his own":        {"encryptionOptions.useAwsOwnedKey", pair(func(r *CreateBrokerRequest) { r.EncryptionOptions = &EncryptionOptions{} })},
			}},
		"storageSize": {
			good: requests{"least": &UpdateBrokerRequest{StorageSize: new(int32(1))}, "most": &UpdateBrokerRequest{StorageSize: new(int32(16384))}},
			bad: map[string]wrong{
				"none":     {"storageSize", &UpdateBrokerRequest{StorageSize: new(int32(0))}},
				"too much": {"storageSize", pair(func(r *CreateBrokerRequest) { r.StorageSize = new(int32(16385)) })},
			}},
		"dataReplicationMode": {
			good: requests{"none": pair(func(r *CreateBrokerRequest) { r.DataReplicationMode = new(DataReplicationModeNone) })},
			bad: map[string]wrong{
				"CRDR":           {"dataReplicationMode", pair(func(r *CreateBrokerRequest) { r.DataReplicationMode = new(DataReplicationModeCRDR) })},
				"CRDR by update": {"dataReplicationMode", &UpdateBrokerRequest{DataReplicationMode: new(DataReplicationModeCRDR)}},
			}},
		"dataReplicationPrimaryBrokerArn": {
			bad: map[string]wrong{"a replica": {"dataReplicationPrimaryBrokerArn", pair(func(r *CreateBrokerRequest) { r.DataReplicationPrimaryBrokerARN = new("arn:aws:mq:a:1:broker:b-1") })}},
		},
		"resourceShareArns": {
			bad: map[string]wrong{"a share": {"resourceShareArns", &UpdateBrokerRequest{ResourceShareARNs: []string{"arn"}}}, "none": {"resourceShareArns", &UpdateBrokerRequest{ResourceShareARNs: []string{}}}},
		},
		"securityGroups": {
			good: requests{"most": &UpdateBrokerRequest{SecurityGroups: names(5, "sg-%d")}},
			bad: map[string]wrong{
				"too many": {"securityGroups", &UpdateBrokerRequest{SecurityGroups: names(6, "sg-%d")}},
				"twice":    {"securityGroups", pair(func(r *CreateBrokerRequest) { r.SecurityGroups = []string{"sg-1", "sg-1"} })},
			}},
		"securityGroups[]": {
			bad: map[string]wrong{
				"empty":   {"securityGroups[0]", &UpdateBrokerRequest{SecurityGroups: []string{""}}},
				"a blank": {"subnetIds[1]", pair(func(r *CreateBrokerRequest) { r.SubnetIDs = []string{"a", "b c"} })},
			}},
		"subnetIds": {
			bad: map[string]wrong{"twice": {"subnetIds", pair(func(r *CreateBrokerRequest) { r.SubnetIDs = []string{"a", "a"} })}},
		},
		"subnetIds CreateBroker": {
			good: requests{"one": single(func(r *CreateBrokerRequest) { r.SubnetIDs = []string{"a"} }), "other ones": &UpdateBrokerRequest{SubnetIDs: []string{"a"}},
				"both": &UpdateBrokerRequest{SubnetIDs: []string{"a", "b"}, DeploymentMode: new(DeploymentModeActiveStandbyMultiAz)}, "none": pair(func(r *CreateBrokerRequest) { r.SubnetIDs = []string{} })},
			bad: map[string]wrong{
				"two for one":           {"subnetIds", single(func(r *CreateBrokerRequest) { r.SubnetIDs = []string{"a", "b"} })},
				"three by update":       {"subnetIds", &UpdateBrokerRequest{SubnetIDs: []string{"a", "b", "c"}}},
				"two for one by update": {"subnetIds", &UpdateBrokerRequest{SubnetIDs: []string{"a", "b"}, DeploymentMode: new(DeploymentModeSingleInstance)}},
				"one for a pair":        {"subnetIds", pair(func(r *CreateBrokerRequest) { r.SubnetIDs = []string{"a"} })},
				"three for a pair":      {"subnetIds", pair(func(r *CreateBrokerRequest) { r.SubnetIDs = []string{"a", "b", "c"} })},
			}},
		"storageType CreateBroker": {
			good: requests{"EFS": pair(func(r *CreateBrokerRequest) { r.StorageType = new(BrokerStorageTypeEFS) })},
			bad:  map[string]wrong{"EBS": {"storageType", pair(func(r *CreateBrokerRequest) { r.StorageType = new(BrokerStorageTypeEBS) })}},
		},
		"storageType CreateBroker #2": {
			good: requests{"m5": single(func(r *CreateBrokerRequest) { r.StorageType = new(BrokerStorageTypeEBS) })},
			bad: map[string]wrong{"micro": {"storageType", single(func(r *CreateBrokerRequest) {
				r.StorageType, r.HostInstanceType = new(BrokerStorageTypeEBS), "mq.t3.micro"
			})}},
		},
		"maintenanceWindowStartTime.timeOfDay": {
			good: requests{"first": window("00:00", "UTC"), "last": window("23:59", "UTC")},
			bad: map[string]wrong{
				"24:00":   {"maintenanceWindowStartTime.timeOfDay", window("24:00", "UTC")},
				"3:00":    {"maintenanceWindowStartTime.timeOfDay", window("3:00", "UTC")},
				"seconds": {"maintenanceWindowStartTime.timeOfDay", window("03:00:00", "UTC")},
			}},
		"maintenanceWindowStartTime.timeZone": {
			good: requests{"a city": window("03:00", "America/Argentina/Buenos_Aires"), "an offset": window("03:00", "-05:30"), "UTC and an offset": window("03:00", "UTC+02:00")},
			bad: map[string]wrong{
				"none such":    {"maintenanceWindowStartTime.timeZone", window("03:00", "Europe/Atlantis")},
				"this machine": {"maintenanceWindowStartTime.timeZone", window("03:00", "Local")},
				"empty":        {"maintenanceWindowStartTime.timeZone", window("03:00", "")},
				"a path":       {"maintenanceWindowStartTime.timeZone", window("03:00", "../../etc/passwd")},
				"too far":      {"maintenanceWindowStartTime.timeZone", window("03:00", "+15:00")},
			}},
		"configuration.id": {
			good: requests{"with a revision": &UpdateBrokerRequest{Configuration: &ConfigurationID{ID: "c-1", Revision: new(int32(1))}}},
			bad:  map[string]wrong{"a name": {"configuration.id", &UpdateBrokerRequest{Configuration: &ConfigurationID{ID: "base"}}}},
		},
		"configuration.revision": {
			bad: map[string]wrong{"0": {"configuration.revision", pair(func(r *CreateBrokerRequest) { r.Configuration = &ConfigurationID{ID: "c-1", Revision: new(int32(0))} })}},
		},
		"configuration-revision": {
			good: requests{"300": &DescribeConfigurationRevisionRequest{ConfigurationRevision: "300"}},
			bad: map[string]wrong{
				"0":      {"configuration-revision", &DescribeConfigurationRevisionRequest{ConfigurationRevision: "0"}},
				"latest": {"configuration-revision", &DescribeConfigurationRevisionRequest{ConfigurationRevision: "latest"}},
			}},
		"data": {
			good: requests{"largest": &UpdateConfigurationRequest{Data: config(256 << 10)}},
			bad: map[string]wrong{
				"XML itself": {"data", &UpdateConfigurationRequest{Data: "<broker/>"}},
				"empty":      {"data", &UpdateConfigurationRequest{Data: ""}},
				"too large":  {"data", &UpdateConfigurationRequest{Data: config(256<<10 + 1)}},
			}},
		"description": {
			good: requests{"longest": &UpdateConfigurationRequest{Data: config(1), Description: new(strings.Repeat("ß", 1024))}},
			bad:  map[string]wrong{"too long": {"description", &UpdateConfigurationRequest{Data: config(1), Description: new(strings.Repeat("a", 1025))}}},
		},
		"resource-arn": {
			good: requests{"a broker": arn("arn:aws:mq:eu-central-1:123456789012:broker:payroll:b-1"), "a configuration": arn("arn:aws:mq:eu-central-1:123456789012:configuration:c-1")},
			bad: map[string]wrong{
				"an id":           {"resource-arn", arn("b-1")},
				"another service": {"resource-arn", arn("arn:aws:s3:eu-central-1:123456789012:broker:payroll:b-1")},
			}},
		"resource-arn #2": {bad: map[string]wrong{"elsewhere": {"resource-arn", arn("arn:aws:mq:us-east-1:123456789012:broker:payroll:b-1")}}},
		"resource-arn #3": {bad: map[string]wrong{"somebody's": {"resource-arn", arn("arn:aws:mq:eu-central-1:210987654321:broker:payroll:b-1")}}},
		"tags": {
			good: requests{"most": pair(func(r *CreateBrokerRequest) { r.Tags = tagged(50) }), "longest": pair(func(r *CreateBrokerRequest) {
				r.Tags = map[string]string{strings.Repeat("ü", 128): strings.Repeat("ü", 256)}
			}),
				"all kinds": pair(func(r *CreateBrokerRequest) { r.Tags = map[string]string{"Größe 1 _.:/=+-@": ""} })},
			bad: map[string]wrong{
				"too many":        {"tags", &CreateConfigurationRequest{Name: "a", EngineType: EngineTypeActiveMQ, Tags: tagged(51)}},
				"empty key":       {"tags", pair(func(r *CreateBrokerRequest) { r.Tags = map[string]string{"": "a"} })},
				"long key":        {"tags", pair(func(r *CreateBrokerRequest) { r.Tags = map[string]string{strings.Repeat("a", 129): "a"} })},
				"long value":      {"tags", pair(func(r *CreateBrokerRequest) { r.Tags = map[string]string{"a": strings.Repeat("a", 257)} })},
				"reserved":        {"tags", pair(func(r *CreateBrokerRequest) { r.Tags = map[string]string{"AWS:x": "a"} })},
				"key's letters":   {"tags", pair(func(r *CreateBrokerRequest) { r.Tags = map[string]string{"a\nb": "a"} })},
				"value's letters": {"tags", pair(func(r *CreateBrokerRequest) { r.Tags = map[string]string{"a": "<b>"} })},
			}},
		"tagKeys": {
			good: requests{"most": &DeleteTagsRequest{ResourceARN: "arn:aws:mq:eu-central-1:123456789012:configuration:c-1", TagKeys: names(50, "k%d")}},
			bad:  map[string]wrong{"too many": {"tagKeys", &DeleteTagsRequest{ResourceARN: "arn:aws:mq:eu-central-1:123456789012:configuration:c-1", TagKeys: names(51, "k%d")}}},
		},
		"tagKeys[]": {
			bad: map[string]wrong{
				"empty":    {"tagKeys[0]", &DeleteTagsRequest{ResourceARN: "arn:aws:mq:eu-central-1:123456789012:configuration:c-1", TagKeys: []string{""}}},
				"too long": {"tagKeys[1]", &DeleteTagsRequest{ResourceARN: "arn:aws:mq:eu-central-1:123456789012:configuration:c-1", TagKeys: []string{"a", strings.Repeat("a", 129)}}},
			}},
		"maxResults": {
			good: requests{"least": &ListBrokersRequest{MaxResults: new(int32(5))}, "most": &ListUsersRequest{MaxResults: new(int32(100))}},
			bad: map[string]wrong{
				"too few":  {"maxResults", &ListBrokersRequest{MaxResults: new(int32(4))}},
				"too many": {"maxResults", &ListConfigurationsRequest{MaxResults: new(int32(101))}},
			}},
	}
	tried := map[string]bool{}
	ids := ruleIDs()
	for id, tt := range tests {
		if !slices.Contains(ids, id) {
			t.Errorf("there is no rule %s", id)
		}
		for name, request := range tt.good {
			t.Run(id+"/"+name, func(t *testing.T) {
				if err := tt.rules.Check(someone, request); err != nil {
					t.Error(err)
				}
			})
		}
		for name, w := range tt.bad {
			tried[id] = true
			t.Run(id+"/"+name, func(t *testing.T) {
				broken, problem := tt.rules.check(someone, nil).run(w.request)
				if broken == nil {
					t.Fatal("it went through")
				}
				if got := ids[slices.IndexFunc(rules, func(r rule) bool {
					return reflect.DeepEqual(r.Attributes, broken.Attributes) && r.Demand == broken.Demand
				})]; got != id {
					t.Errorf("rule %s is broken, not %s: %v", got, id, problem)
				}
				if problem.Attribute != w.attribute || !strings.Contains(problem.Message, strings.SplitN(w.attribute, "[", 2)[0]) && id != "engineVersion" && !strings.HasPrefix(problem.Message, "Specify ") {
					t.Errorf("attribute %q, message %q; want attribute %q in both", problem.Attribute, problem.Message, w.attribute)
				}
				if want := cmp.Or(broken.kind, BadRequest); problem.Kind != want {
					t.Errorf("kind %s; want %s", problem.Kind, want)
				}
				if strings.Contains(problem.Message, "abcdabc") || strings.Contains(problem.Message, "{}") {
					t.Errorf("the message shows a password, or a place that was not filled: %s", problem.Message)
				}
			})
		}
	}
	for _, id := range ids {
		if !tried[id] && !strings.HasSuffix(id, " UpdateBroker #unknown") {
			t.Errorf("no request breaks the rule %q", id)
		}
	}
}

// ruleIDs names each rule by its first attribute, the first operation that it is for, and a number if that has been seen.
func ruleIDs() []string {
	seen := map[string]int{}
	var ids []string
	for _, r := range rules {
		id := r.Attributes[0]
		if len(r.Operations) > 0 {
			id += " " + r.Operations[0]
		}
		if reflect.DeepEqual(r.Attributes, neverAfterCreation) {
			id += " #unknown" // TestNeverAfterCreation
		}
		if seen[id]++; seen[id] > 1 {
			id += fmt.Sprintf(" #%d", seen[id])
		}
		ids = append(ids, id)
	}
	return ids
}

// What UpdateBroker cannot change is refused, though Amazon's UpdateBroker has no such members; other unknown ones are passed over.
func TestNeverAfterCreation(t *testing.T) {
	for _, name := range neverAfterCreation {
		broken, problem := Rules{}.check(someone, []string{"futureThing", name}).run(&UpdateBrokerRequest{BrokerID: "b-1"})
		if broken == nil || problem.Attribute != name || problem.Kind != BadRequest {
			t.Errorf("%s: %v", name, problem)
		}
	}
	if broken, problem := (Rules{}).check(someone, []string{"futureThing"}).run(&UpdateBrokerRequest{BrokerID: "b-1"}); broken != nil {
		t.Error(problem)
	}
}

// Where the disks are encrypted, Amazon's default may be asked for.
func TestEncryptedDisks(t *testing.T) {
	if err := encrypted.Check(someone, pair(func(r *CreateBrokerRequest) { r.EncryptionOptions = &EncryptionOptions{UseAWSOwnedKey: true} })); err != nil {
		t.Error(err)
	}
}

// A catalog of the operator's own is asked for each request.
func TestCatalog(t *testing.T) {
	var own Catalog
	r := Rules{Catalog: func() Catalog { return own }}
	request := &UpdateBrokerRequest{HostInstanceType: new("own.small"), EngineVersion: new("6.2")}
	if err := r.Check(someone, request); err == nil {
		t.Error("an empty catalog has everything")
	}
	own = Catalog{EngineVersions: []string{"6.2"}, InstanceTypes: []InstanceType{{Name: "own.small"}}}
	if err := r.Check(someone, request); err != nil {
		t.Error(err)
	}
}

// The limits are the operator's to set.
func TestLimits(t *testing.T) {
	tests := map[string]struct {
		rules   Rules
		request any
	}{
		"SecurityGroups": {Rules{SecurityGroups: 1}, &UpdateBrokerRequest{SecurityGroups: names(2, "sg-%d")}},
		"Users": {Rules{Users: 1}, pair(func(r *CreateBrokerRequest) {
			r.Users = append(r.Users, User{Username: "two", Password: "correct horse 7"})
		})},
		"Groups":             {Rules{Groups: 1}, &UpdateUserRequest{Username: "ops", Groups: names(2, "g%d")}},
		"Tags":               {Rules{Tags: 1}, pair(func(r *CreateBrokerRequest) { r.Tags = tagged(2) })},
		"ConfigurationBytes": {Rules{ConfigurationBytes: 1}, &UpdateConfigurationRequest{Data: "YWI="}},
		"DescriptionLength":  {Rules{DescriptionLength: 1}, &UpdateConfigurationRequest{Data: "YWI=", Description: new("ab")}},
		"StorageGiB":         {Rules{StorageGiB: 1}, &UpdateBrokerRequest{StorageSize: new(int32(2))}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := tt.rules.Check(someone, tt.request); err == nil {
				t.Error("the limit is not kept")
			}
			if err := (Rules{}).Check(someone, tt.request); err != nil {
				t.Errorf("without it: %v", err)
			}
		})
	}
}
