package mqapi

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// rule is one thing that requests must obey. Each has cases in rules_test.go and a line in docs/amazon-mq.md.
type rule struct {
	Attributes []string // by their paths, with [] for any part of a list
	Operations []string // nil: wherever there is such an attribute
	Demand     string   // what it asks for, for people
	Refuses    bool     // something that Amazon MQ has and Godwit has not

	// value says what is wrong with one value, or "". {} at the beginning stands for the attribute's path.
	value func(k *check, v any) string
	// whole says what is wrong between the members of a request, and of which.
	whole func(k *check, request any) (attribute, problem string)
	kind  Kind // of the error; "": BadRequest
}

var rules = []rule{
	// Names.
	{Attributes: []string{"brokerName"}, Demand: "1 to 50 letters, digits, `-` and `_`",
		value: form(`^[A-Za-z0-9_-]{1,50}$`, "1 to 50 letters, digits, - and _")},
	{Attributes: []string{"name"}, Demand: "1 to 150 letters, digits, `-`, `.`, `_` and `~`",
		value: form(`^[A-Za-z0-9._~-]{1,150}$`, "1 to 150 letters, digits, -, ., _ and ~")},
	{Attributes: []string{"username", "users[].username"}, Demand: "2 to 100 letters, digits, `-`, `.`, `_` and `~`",
		value: form(`^[A-Za-z0-9._~-]{2,100}$`, "2 to 100 letters, digits, -, ., _ and ~")},
	{Attributes: []string{"groups[]", "users[].groups[]"}, Demand: "2 to 100 letters, digits, `-`, `.`, `_` and `~`",
		value: form(`^[A-Za-z0-9._~-]{2,100}$`, "2 to 100 letters, digits, -, ., _ and ~")},
	{Attributes: []string{"creatorRequestId"}, Demand: "1 to 256 characters",
		value: length(1, func(*check) int { return 256 })},
	{Attributes: []string{"instance"}, Demand: "an instance of the broker: BROKER-ID-1 or BROKER-ID-2",
		value: form(`^b-[A-Za-z0-9-]{1,100}-[12]$`, "the broker's id with -1 or -2")},

	// Users.
	{Attributes: []string{"users"}, Demand: "at most 250, each name once",
		value: func(k *check, v any) string {
			names := make([]string, 0, len(v.([]User)))
			for _, u := range v.([]User) {
				names = append(names, u.Username)
			}
			return listOf(names, k.Users, "users")
		}},
	{Attributes: []string{"groups", "users[].groups"}, Demand: "at most 20, each once",
		value: func(k *check, v any) string { return listOf(v.([]string), k.Groups, "groups") }},
	{Attributes: []string{"password", "users[].password"}, Demand: "12 to 250 characters, at least 4 different ones, none of them `,` `:` `=`", value: password},
	{Attributes: []string{"replicationUser", "users[].replicationUser"}, Demand: "not true: there is no replication across regions (CRDR)", Refuses: true,
		value: refuseIf(true, "{} cannot be true: "+noCRDR+"; leave it out")},

	// What a broker is.
	{Attributes: []string{"engineType"}, Demand: "`ActiveMQ`; RabbitMQ is refused", Refuses: true, value: engineType},
	{Attributes: []string{"engineVersion"}, Demand: "a version that DescribeBrokerEngineTypes lists, without patch level", value: engineVersion},
	{Attributes: []string{"hostInstanceType"}, Operations: []string{"CreateBroker", "UpdateBroker"}, Demand: "a type that DescribeBrokerInstanceOptions lists", value: instanceType},
	{Attributes: []string{"hostInstanceType"}, Operations: []string{"DescribeBrokerInstanceOptions"}, Demand: "1 to 100 letters, digits, `.` and `-`",
		value: form(`^[A-Za-z0-9.-]{1,100}$`, "1 to 100 letters, digits, . and -")},
	{Attributes: []string{"storageType"}, Operations: []string{"DescribeBrokerInstanceOptions"}, Demand: "`ebs` or `efs`, in any case",
		value: func(_ *check, v any) string {
			if s := v.(string); !strings.EqualFold(s, string(BrokerStorageTypeEBS)) && !strings.EqualFold(s, string(BrokerStorageTypeEFS)) {
				return "{} must be ebs or efs, not " + text(s)
			}
			return ""
		}},
	{Attributes: []string{"deploymentMode"}, Demand: "`SINGLE_INSTANCE` or `ACTIVE_STANDBY_MULTI_AZ`; RabbitMQ's `CLUSTER_MULTI_AZ` is refused", Refuses: true,
		value: refuseIf(DeploymentModeClusterMultiAz, "{} CLUSTER_MULTI_AZ is RabbitMQ's; use ACTIVE_STANDBY_MULTI_AZ or SINGLE_INSTANCE")},
	{Attributes: []string{"authenticationStrategy"}, Demand: "not RabbitMQ's `config_managed`", Refuses: true,
		value: refuseIf(AuthenticationStrategyConfigManaged, "{} CONFIG_MANAGED is RabbitMQ's; use SIMPLE")},
	{Attributes: []string{"authenticationStrategy"}, Demand: "`ldap` only where the operator has said that there is LDAP", Refuses: true,
		value: func(k *check, v any) string {
			if v == AuthenticationStrategyLDAP && !k.LDAP {
				return "{} LDAP is not available in this service; use SIMPLE, with users of the broker's own"
			}
			return ""
		}},
	{Attributes: []string{"ldapServerMetadata.hosts"}, Demand: "one or two, each once",
		value: func(k *check, v any) string {
			if len(v.([]string)) == 0 {
				return "{} must have one or two hosts"
			}
			return listOf(v.([]string), 2, "hosts")
		}},
	{Attributes: []string{"ldapServerMetadata.hosts[]"}, Demand: "a host name or address, with `:PORT` or not, and no scheme",
		value: form(`^[A-Za-z0-9._:\[\]-]{1,255}$`, "a host name or address, with :PORT or not, and no scheme")},
	{Attributes: []string{"ldapServerMetadata.roleBase", "ldapServerMetadata.userBase", "ldapServerMetadata.serviceAccountUsername", "ldapServerMetadata.serviceAccountPassword"},
		Demand: "1 to 1024 characters", value: length(1, func(*check) int { return 1024 })},
	{Attributes: []string{"ldapServerMetadata.roleName", "ldapServerMetadata.userRoleName"}, Demand: "at most 256 characters", value: length(0, func(*check) int { return 256 })},
	{Attributes: []string{"ldapServerMetadata.roleSearchMatching"}, Demand: "1 to 1024 characters with `{0}` or `{1}`, for which the user is put in",
		value: func(_ *check, v any) string {
			if s := v.(string); len(s) > 1024 || !strings.Contains(s, "{0}") && !strings.Contains(s, "{1}") {
				return "{} must have at most 1024 characters, and {0} or {1} where the user is put in, as in (member={0})"
			}
			return ""
		}},
	{Attributes: []string{"ldapServerMetadata.userSearchMatching"}, Demand: "1 to 1024 characters with `{0}`, for which the user's name is put in",
		value: func(_ *check, v any) string {
			if s := v.(string); len(s) > 1024 || !strings.Contains(s, "{0}") {
				return "{} must have at most 1024 characters, and {0} where the user's name is put in, as in (uid={0})"
			}
			return ""
		}},
	{Attributes: []string{"encryptionOptions.kmsKeyId"}, Demand: "not given: there is no KMS", Refuses: true, value: refuse("{} is refused: there is no KMS here; leave it out")},
	{Attributes: []string{"encryptionOptions.useAwsOwnedKey"}, Demand: "`true`, and only where the operator has said that the disks are encrypted", Refuses: true,
		value: func(k *check, v any) string {
			switch {
			case v == false:
				return "{} false asks for a key of yours in KMS, which there is not here; leave encryptionOptions out"
			case !k.EncryptedDisks:
				return "{} asks for encrypted storage: Godwit does not encrypt what it stores, and the operator has not said that the disks are encrypted; leave encryptionOptions out"
			}
			return ""
		}},
	{Attributes: []string{"storageSize"}, Demand: "1 to 16384 GiB",
		value: func(k *check, v any) string {
			if n := int(v.(int32)); n < 1 || n > k.StorageGiB {
				return fmt.Sprintf("{} must be 1 to %d GiB, not %d", k.StorageGiB, n)
			}
			return ""
		}},
	{Attributes: []string{"dataReplicationMode"}, Demand: "`NONE`; there is no replication across regions (CRDR)", Refuses: true,
		value: refuseIf(DataReplicationModeCRDR, "{} CRDR is refused: "+noCRDR+"; leave it out, or use NONE")},
	{Attributes: []string{"dataReplicationPrimaryBrokerArn"}, Demand: "not given: there is no replication across regions (CRDR)", Refuses: true, value: refuse("{} is refused: " + noCRDR + "; leave it out")},
	{Attributes: []string{"resourceShareArns"}, Demand: "not given: shared resources are RabbitMQ's", Refuses: true, value: refuse("{} is refused: shared resources are RabbitMQ's; leave it out")},

	// Where it is, and who reaches it.
	{Attributes: []string{"securityGroups"}, Demand: "at most 5, each once",
		value: func(k *check, v any) string { return listOf(v.([]string), k.SecurityGroups, "security groups") }},
	{Attributes: []string{"securityGroups[]", "subnetIds[]"}, Demand: "1 to 255 letters, digits, `-`, `_`, `.`, `/` and `:`",
		value: form(`^[A-Za-z0-9._/:-]{1,255}$`, "1 to 255 letters, digits, -, _, ., / and :")},
	{Attributes: []string{"subnetIds"}, Demand: "each once", value: func(_ *check, v any) string { return listOf(v.([]string), 255, "subnets") }},

	// When it is maintained.
	{Attributes: []string{"maintenanceWindowStartTime.timeOfDay"}, Demand: "`HH:MM`, 00:00 to 23:59",
		value: form(`^([01][0-9]|2[0-3]):[0-5][0-9]$`, "HH:MM, from 00:00 to 23:59")},
	{Attributes: []string{"maintenanceWindowStartTime.timeZone"}, Demand: "Country/City, `UTC`, or an offset as `+02:00`",
		value: func(_ *check, v any) string {
			if _, err := Location(v.(string)); err != nil {
				return "{}: " + err.Error()
			}
			return ""
		}},

	// Configurations.
	{Attributes: []string{"configuration.id"}, Demand: "an id of a configuration, `c-...`", value: form(`^c-[A-Za-z0-9-]{1,100}$`, "an id of a configuration, which begins with c-")},
	{Attributes: []string{"configuration.revision"}, Demand: "1 or more",
		value: func(_ *check, v any) string {
			if v.(int32) < 1 {
				return "{} must be 1 or more; leave it out for the newest"
			}
			return ""
		}},
	{Attributes: []string{"configuration-revision"}, Demand: "a whole number, 1 or more",
		value: func(_ *check, v any) string {
			if n, err := strconv.ParseInt(v.(string), 10, 32); err != nil || n < 1 {
				return "{} must be a whole number, 1 or more, not " + text(v.(string))
			}
			return ""
		}},
	{Attributes: []string{"data"}, Demand: "base64 of 1 byte to 256 KiB",
		value: func(k *check, v any) string {
			raw, err := base64.StdEncoding.DecodeString(v.(string))
			switch {
			case err != nil:
				return "{} must be base64 of the configuration: " + err.Error()
			case len(raw) == 0:
				return "{} must not be empty"
			case len(raw) > k.ConfigurationBytes:
				return fmt.Sprintf("{} has %d bytes; %d are the limit", len(raw), k.ConfigurationBytes)
			}
			return ""
		}},
	{Attributes: []string{"description"}, Demand: "at most 1024 characters", value: length(0, func(k *check) int { return k.DescriptionLength })},

	// Tags.
	{Attributes: []string{"resource-arn"}, Demand: "the ARN of a broker or a configuration",
		value: func(_ *check, v any) string {
			if _, err := ParseARN(v.(string)); err != nil {
				return "{}: " + err.Error()
			}
			return ""
		}},
	{Attributes: []string{"resource-arn"}, Demand: "of the region that the request is signed for",
		value: func(k *check, v any) string {
			if arn, err := ParseARN(v.(string)); err == nil && arn.Region != k.caller.Region {
				return fmt.Sprintf("{} is of region %s, and the request is signed for %s; ask there (--region %[1]s)", arn.Region, k.caller.Region)
			}
			return ""
		}},
	{Attributes: []string{"resource-arn"}, Demand: "of the caller's account", kind: Forbidden,
		value: func(k *check, v any) string {
			if arn, err := ParseARN(v.(string)); err == nil && arn.Account != k.caller.Account {
				return fmt.Sprintf("{} belongs to account %s, and the access key to %s", arn.Account, k.caller.Account)
			}
			return ""
		}},
	{Attributes: []string{"tags"}, Demand: "at most 50; a key has 1 to 128 characters and does not begin with `aws:`, a value at most 256; both of letters, digits, spaces and `_.:/=+-@`", value: tags},
	{Attributes: []string{"tagKeys"}, Demand: "1 to 50",
		value: func(k *check, v any) string {
			if n := len(v.([]string)); n > k.Tags {
				return fmt.Sprintf("{} has %d keys; %d are the limit", n, k.Tags)
			}
			return ""
		}},
	{Attributes: []string{"tagKeys[]"}, Demand: "1 to 128 characters", value: length(1, func(*check) int { return 128 })},

	// Pages.
	{Attributes: []string{"maxResults"}, Demand: "5 to 100",
		value: func(_ *check, v any) string {
			if n := v.(int32); n < 5 || n > 100 {
				return fmt.Sprintf("{} must be 5 to 100, not %d", n)
			}
			return ""
		}},

	// Between members.
	{Attributes: []string{"subnetIds"}, Operations: []string{"CreateBroker", "UpdateBroker"}, Demand: "one with `SINGLE_INSTANCE`, two with `ACTIVE_STANDBY_MULTI_AZ`, or none: the service chooses",
		whole: func(_ *check, request any) (string, string) {
			var mode DeploymentMode // of an update it may be absent: then what the broker has counts, which is not known here
			var subnets []string
			switch r := request.(type) {
			case *CreateBrokerRequest:
				mode, subnets = r.DeploymentMode, r.SubnetIDs
			case *UpdateBrokerRequest:
				subnets = r.SubnetIDs
				if r.DeploymentMode != nil {
					mode = *r.DeploymentMode
				}
			}
			switch n := len(subnets); {
			case n > 1 && mode == DeploymentModeSingleInstance:
				return "subnetIds", "Specify a single subnet in [SINGLE_INSTANCE] deployment mode."
			case n > 2 || n == 1 && mode == DeploymentModeActiveStandbyMultiAz:
				return "subnetIds", "Specify two subnets in [ACTIVE_STANDBY_MULTI_AZ] deployment mode, or none: the service chooses then."
			}
			return "", ""
		}},
	{Attributes: []string{"storageType"}, Operations: []string{"CreateBroker"}, Demand: "`efs` with `ACTIVE_STANDBY_MULTI_AZ`",
		whole: func(_ *check, request any) (string, string) {
			r := request.(*CreateBrokerRequest)
			if r.StorageType != nil && *r.StorageType == BrokerStorageTypeEBS && r.DeploymentMode == DeploymentModeActiveStandbyMultiAz {
				return "storageType", "storageType EBS goes with SINGLE_INSTANCE only; leave it out, or use EFS"
			}
			return "", ""
		}},
	{Attributes: []string{"storageType"}, Operations: []string{"CreateBroker"}, Demand: "`ebs` only with instance types that have it: Amazon's `mq.m5`",
		whole: func(k *check, request any) (string, string) {
			r := request.(*CreateBrokerRequest)
			if t, _ := k.catalog.instanceType(r.HostInstanceType); r.StorageType != nil && *r.StorageType == BrokerStorageTypeEBS && !t.EBS {
				return "storageType", fmt.Sprintf("storageType EBS does not go with %s; use one of %s, or EFS", r.HostInstanceType,
					k.typeNames(func(t InstanceType) bool { return t.EBS }))
			}
			return "", ""
		}},
	{Attributes: []string{"ldapServerMetadata"}, Operations: []string{"CreateBroker"}, Demand: "with `authenticationStrategy` `ldap`, and only then",
		whole: func(_ *check, request any) (string, string) {
			r := request.(*CreateBrokerRequest)
			byLDAP := r.AuthenticationStrategy != nil && *r.AuthenticationStrategy == AuthenticationStrategyLDAP
			switch {
			case byLDAP && r.LDAPServerMetadata == nil:
				return "ldapServerMetadata", "ldapServerMetadata is required with authenticationStrategy LDAP"
			case !byLDAP && r.LDAPServerMetadata != nil:
				return "ldapServerMetadata", "ldapServerMetadata goes with authenticationStrategy LDAP only; leave it out"
			}
			return "", ""
		}},
	{Attributes: []string{"ldapServerMetadata"}, Operations: []string{"UpdateBroker"}, Demand: "only where the operator has said that there is LDAP", Refuses: true,
		whole: func(k *check, request any) (string, string) {
			if request.(*UpdateBrokerRequest).LDAPServerMetadata != nil && !k.LDAP {
				return "ldapServerMetadata", "ldapServerMetadata is refused: LDAP is not available in this service"
			}
			return "", ""
		}},
	{Attributes: []string{"instance"}, Operations: []string{"SwitchoverBroker"}, Demand: "of the broker that the path names",
		whole: func(_ *check, request any) (string, string) {
			r := request.(*SwitchoverBrokerRequest)
			if r.Instance != nil && *r.Instance != r.BrokerID+"-1" && *r.Instance != r.BrokerID+"-2" {
				return "instance", fmt.Sprintf("instance must be %s-1 or %[1]s-2, not %s", clip(r.BrokerID), text(*r.Instance))
			}
			return "", ""
		}},
	{Attributes: neverAfterCreation, Operations: []string{"UpdateBroker"}, Demand: "not given: an update cannot change it", Refuses: true,
		whole: func(k *check, _ any) (string, string) {
			for _, name := range neverAfterCreation {
				if slices.Contains(k.unknown, name) {
					return name, name + " cannot be changed after creation; leave it out, or make another broker"
				}
			}
			return "", ""
		}},
}

// neverAfterCreation are what a broker is made with and keeps (Amazon's keep mode and subnets, too). UpdateBroker has no such members; who sends one all the same must not
// believe that it was honoured.
var neverAfterCreation = []string{"brokerName", "dataReplicationPrimaryBrokerArn", "encryptionOptions", "engineType", "publiclyAccessible", "storageType"}

const noCRDR = "Godwit does not replicate brokers across regions (CRDR)"

// form demands text that a pattern matches.
func form(pattern, words string) func(*check, any) string {
	p := regexp.MustCompile(pattern)
	return func(_ *check, v any) string {
		if s := v.(string); !p.MatchString(s) {
			return "{} must be " + words + ", not " + text(s)
		}
		return ""
	}
}

// length bounds text, in characters.
func length(atLeast int, atMost func(*check) int) func(*check, any) string {
	return func(k *check, v any) string {
		if n := utf8.RuneCountInString(v.(string)); n < atLeast || n > atMost(k) {
			return fmt.Sprintf("{} must have %d to %d characters, not %d", atLeast, atMost(k), n)
		}
		return ""
	}
}

// refuse is for what may not be given at all.
func refuse(problem string) func(*check, any) string {
	return func(*check, any) string { return problem }
}

func refuseIf(value any, problem string) func(*check, any) string {
	return func(_ *check, v any) string {
		if v == value {
			return problem
		}
		return ""
	}
}

// listOf bounds a list, and refuses what is in it twice.
func listOf(list []string, limit int, of string) string {
	if len(list) > limit {
		return fmt.Sprintf("{} has %d %s; %d are the limit", len(list), of, limit)
	}
	seen := map[string]bool{}
	for _, s := range list {
		if seen[s] {
			return "{} has " + text(s) + " twice"
		}
		seen[s] = true
	}
	return ""
}

// password never shows what it was given.
func password(_ *check, v any) string {
	s := v.(string)
	different := map[rune]bool{}
	for _, c := range s {
		different[c] = true
	}
	switch n := utf8.RuneCountInString(s); {
	case n < 12 || n > 250:
		return fmt.Sprintf("{} must have 12 to 250 characters, not %d", n)
	case len(different) < 4:
		return "{} must have at least 4 different characters"
	case strings.ContainsAny(s, ",:="):
		return "{} must not contain a comma, a colon or an equals sign"
	}
	return ""
}

// engineType is an enumeration in bodies and text in queries.
func engineType(_ *check, v any) string {
	s := fmt.Sprint(v)
	switch {
	case strings.EqualFold(s, string(EngineTypeRabbitMQ)):
		return "{} RABBITMQ is refused: Godwit brokers are ActiveMQ's; use ACTIVEMQ"
	case !strings.EqualFold(s, string(EngineTypeActiveMQ)):
		return "{} must be ACTIVEMQ, not " + text(s)
	}
	return ""
}

func engineVersion(k *check, v any) string {
	if s := v.(string); !slices.Contains(k.catalog.EngineVersions, s) {
		return fmt.Sprintf("Broker engine version [%s] is invalid for broker engine type [ACTIVEMQ]; use one of %s, without patch level", clip(s), strings.Join(k.catalog.EngineVersions, ", "))
	}
	return ""
}

func instanceType(k *check, v any) string {
	if _, ok := k.catalog.instanceType(v.(string)); !ok {
		return "{} must be one of " + k.typeNames(func(InstanceType) bool { return true }) + ", not " + text(v.(string))
	}
	return ""
}

// typeNames are those of the catalog that pass.
func (k *check) typeNames(pass func(InstanceType) bool) string {
	var names []string
	for _, t := range k.catalog.InstanceTypes {
		if pass(t) {
			names = append(names, t.Name)
		}
	}
	return strings.Join(names, ", ")
}

func tags(k *check, v any) string {
	m := v.(map[string]string)
	if len(m) > k.Tags {
		return fmt.Sprintf("{} has %d; %d are the limit", len(m), k.Tags)
	}
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		switch n := utf8.RuneCountInString(key); {
		case n < 1 || n > 128:
			return fmt.Sprintf("{}: the key %s must have 1 to 128 characters", text(key))
		case utf8.RuneCountInString(m[key]) > 256:
			return fmt.Sprintf("{}: the value of %s must have at most 256 characters", text(key))
		case len(key) >= 4 && strings.EqualFold(key[:4], "aws:"):
			return fmt.Sprintf("{}: the key %s is reserved, as all that begin with aws:", text(key))
		case strings.ContainsFunc(key+m[key], notInTags):
			return fmt.Sprintf("{}: %s and its value may have letters, digits, spaces and _.:/=+-@", text(key))
		}
	}
	return ""
}

func notInTags(c rune) bool {
	return !unicode.IsLetter(c) && !unicode.IsNumber(c) && !unicode.Is(unicode.Zs, c) && !strings.ContainsRune("_.:/=+-@", c)
}

// clip is text of the caller's, without quotes, not too much of it.
func clip(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "..."
	}
	return s
}
