package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/godwitmq/godwit/security"
	"github.com/godwitmq/godwit/security/ldap"
	"github.com/godwitmq/godwit/security/oidc"
)

// CertificateUser makes a user of a client certificate.
type CertificateUser struct {
	From     string   `yaml:"from" allowed:"dn|cn|dns|email|uri|ip" doc:"What of the certificate counts: the subject as CN=client1, O=T (dn), its common name (cn), or the names of a kind in subjectAltName."`
	Matching string   `yaml:"matching" doc:"Regular expression that must fit the whole of it."`
	User     string   `yaml:"user" doc:"Name of the user. $1 is what the first group of matching has found."`
	Groups   []string `yaml:"groups" doc:"Groups the user is in. Without any, the user must be among users or in usersFile, and is in that one's groups."`
}

// LDAP is where users are that are not listed here.
type LDAP struct {
	Hosts                  []string      `yaml:"hosts" doc:"HOST or HOST:PORT of servers with the same content; the first that answers is asked. Empty: no LDAP."`
	Transport              string        `yaml:"transport" allowed:"ldaps|starttls|plain" doc:"How they are spoken to: TLS from the first byte (port 636), TLS before anything is said (port 389), or in clear, passwords included (port 389)."`
	CA                     string        `yaml:"ca" path:"yes" doc:"PEM file of the authorities that signed the servers' certificates. Empty: those of the system. The certificates must be for the names in hosts."`
	ServiceAccountUsername string        `yaml:"serviceAccountUsername" doc:"Distinguished name of the account that searches. Empty: nobody's, if the server lets that search."`
	ServiceAccountPassword string        `yaml:"serviceAccountPassword" secret:"yes" doc:"Its password."`
	ServiceAccountFile     string        `yaml:"serviceAccountPasswordFile" path:"yes" doc:"File with its password, instead; read at the start and at a reload."`
	UserBase               string        `yaml:"userBase" doc:"Where users are: ou=users,dc=example,dc=com."`
	UserSearchMatching     string        `yaml:"userSearchMatching" doc:"Filter that finds a user; {0} stands for the name given."`
	UserSearchSubtree      bool          `yaml:"userSearchSubtree" doc:"Whether users are below userBase at any depth, and not one level below it."`
	UserRoleName           string        `yaml:"userRoleName" doc:"Attribute of a user whose values are groups as well. Empty: none."`
	RoleBase               string        `yaml:"roleBase" doc:"Where groups are. Empty: no groups are searched."`
	RoleName               string        `yaml:"roleName" doc:"Attribute of a group that is its name."`
	RoleSearchMatching     string        `yaml:"roleSearchMatching" doc:"Filter that finds a user's groups; {0} stands for the user's distinguished name, {1} for the name given."`
	RoleSearchSubtree      bool          `yaml:"roleSearchSubtree" doc:"Whether groups are below roleBase at any depth."`
	Timeout                time.Duration `yaml:"timeout" doc:"How long a server may take for each answer."`
	Connections            int           `yaml:"connections" doc:"Connections to servers at a time."`
	CacheFor               time.Duration `yaml:"cacheFor" doc:"How long right credentials are taken for right without asking: so long does an old password count. 0: not at all."`
	CacheSize              int           `yaml:"cacheSize" doc:"How many verdicts are kept, none with its password."`
	HoldFor                time.Duration `yaml:"holdFor" doc:"How long right credentials hold while no server answers. 0: not at all."`
	Rights                 LDAPRights    `yaml:"rights" doc:"Rights that are in LDAP, as ActiveMQ's cachedLDAPAuthorizationMap has them: below a base an entry for each destination ($ for >), with groups as members of cn=read, cn=write and cn=admin below it. They are joined with credentials.rights."`
}

// LDAPRights says where rights are in LDAP.
type LDAPRights struct {
	QueueBase string        `yaml:"queueBase" doc:"Where those of queues are. Empty: nowhere."`
	TopicBase string        `yaml:"topicBase" doc:"Where those of topics are."`
	TempBase  string        `yaml:"tempBase" doc:"Where those of temporary destinations are: cn=read, cn=write and cn=admin right below it."`
	Every     time.Duration `yaml:"every" doc:"How often they are read again. What was read last holds while no server answers; before the first time nobody has a right."`
}

// On says whether there is LDAP.
func (l LDAP) On() bool { return len(l.Hosts) > 0 }

// Options are what security/ldap works with, but for the authorities' certificates.
func (l LDAP) Options() ldap.Options {
	return ldap.Options{
		Hosts: l.Hosts, Transport: ldap.Transport(l.Transport), ServiceAccountUsername: l.ServiceAccountUsername, ServiceAccountPassword: l.ServiceAccountPassword,
		UserBase: l.UserBase, UserSearchMatching: l.UserSearchMatching, UserSearchSubtree: l.UserSearchSubtree, UserRoleName: l.UserRoleName,
		RoleBase: l.RoleBase, RoleName: l.RoleName, RoleSearchMatching: l.RoleSearchMatching, RoleSearchSubtree: l.RoleSearchSubtree,
		Timeout: l.Timeout, Connections: l.Connections, CacheFor: l.CacheFor, CacheSize: l.CacheSize, HoldFor: l.HoldFor,
	}
}

// Bases are where rights are.
func (r LDAPRights) Bases() ldap.RightsOptions {
	return ldap.RightsOptions{QueueBase: r.QueueBase, TopicBase: r.TopicBase, TempBase: r.TempBase}
}

func defaultLDAP() LDAP {
	return LDAP{Transport: "ldaps", UserSearchMatching: "(uid={0})", RoleName: "cn", RoleSearchMatching: "(member={0})", Timeout: 5 * time.Second, Connections: 4,
		CacheFor: time.Minute, CacheSize: 4096, HoldFor: 15 * time.Minute, Rights: LDAPRights{Every: time.Minute}}
}

// OIDC says whose tokens are taken for passwords.
type OIDC struct {
	Issuer      string        `yaml:"issuer" doc:"URL of an OpenID Connect provider whose tokens (JWT) clients may send as passwords, and callers of the HTTP API as Authorization: Bearer. The user name must then be the token's user, $jwt or empty. Empty: no tokens."`
	Keys        string        `yaml:"keys" doc:"URL of the provider's keys. Empty: where its openid-configuration says."`
	CA          string        `yaml:"ca" path:"yes" doc:"PEM file of the authorities that signed the provider's certificate. Empty: those of the system."`
	Audiences   []string      `yaml:"audiences" doc:"Those that a token may be for (aud); it must name one of them."`
	Algorithms  []string      `yaml:"algorithms" doc:"Signatures that are accepted: RS256 to RS512, PS256 to PS512, ES256 to ES512, EdDSA."`
	UserClaim   string        `yaml:"userClaim" doc:"Claim that is the user's name: sub, preferred_username, email, azp."`
	GroupsClaim string        `yaml:"groupsClaim" doc:"Claim with the user's groups, a text or a list; dots lead into objects: realm_access.roles. Empty: no groups."`
	Leeway      time.Duration `yaml:"leeway" doc:"How far the clocks of provider and broker may differ."`
	AtExpiry    string        `yaml:"atExpiry" allowed:"disconnect|keep" doc:"What becomes of a connection when its token's time is over: it is closed, so that the client comes back with another token, or it stays."`
	Timeout     time.Duration `yaml:"timeout" doc:"How long the provider may take for an answer."`
	HoldFor     time.Duration `yaml:"holdFor" doc:"How old keys may become while the provider does not answer."`
}

// On says whether tokens are taken.
func (o OIDC) On() bool { return o.Issuer != "" }

// Options are what security/oidc works with, but for the authorities' certificates.
func (o OIDC) Options() oidc.Options {
	return oidc.Options{Issuer: o.Issuer, KeysURL: o.Keys, Audiences: o.Audiences, Algorithms: o.Algorithms, UserClaim: o.UserClaim, GroupsClaim: o.GroupsClaim,
		Leeway: o.Leeway, Keep: o.AtExpiry == "keep", Timeout: o.Timeout, HoldFor: o.HoldFor}
}

func defaultOIDC() OIDC {
	return OIDC{Algorithms: []string{"RS256", "ES256"}, UserClaim: "sub", GroupsClaim: "groups", Leeway: 30 * time.Second, AtExpiry: "disconnect", Timeout: 5 * time.Second, HoldFor: time.Hour}
}

// untouched says whether a section says what the default says.
func untouched(section, usual any) bool {
	v, base := reflect.ValueOf(section), reflect.ValueOf(usual)
	for i := range v.NumField() {
		if !same(v.Field(i), base.Field(i)) {
			return false
		}
	}
	return true
}

func (k checker) oidc() {
	o := k.config.Credentials.OIDC
	const key = "credentials.oidc."
	k.check(o.Leeway <= 10*time.Minute, key+"leeway", "%s is too long; expected at most 10m", o.Leeway)
	k.check(o.Timeout >= 100*time.Millisecond && o.Timeout <= 30*time.Second, key+"timeout", "%s is out of range; expected 100ms to 30s", o.Timeout)
	k.check(o.HoldFor >= 10*time.Minute && o.HoldFor <= 7*24*time.Hour, key+"holdFor", "%s is out of range; expected 10m to 168h", o.HoldFor)
	if !o.On() {
		k.check(untouched(o, defaultOIDC()), key+"issuer", "is missing, and without it nothing else in credentials.oidc counts")
		return
	}
	options := o.Options()
	if err := options.Check(); err != nil {
		name, what, _ := strings.Cut(err.Error(), ": ")
		k.check(false, key+name, "%s", what)
	}
}

func (k checker) ldap() {
	l := k.config.Credentials.LDAP
	const key = "credentials.ldap."
	k.check(l.Timeout >= 100*time.Millisecond && l.Timeout <= 30*time.Second, key+"timeout", "%s is out of range; expected 100ms to 30s", l.Timeout)
	k.check(l.Connections >= 1 && l.Connections <= 100, key+"connections", "%d is out of range; expected 1 to 100", l.Connections)
	k.check(l.CacheFor <= time.Hour, key+"cacheFor", "%s is too long; expected at most 1h", l.CacheFor)
	k.check(l.CacheSize >= 1 && l.CacheSize <= 1_000_000, key+"cacheSize", "%d is out of range; expected 1 to 1000000", l.CacheSize)
	k.check(l.HoldFor <= 24*time.Hour, key+"holdFor", "%s is too long; expected at most 24h", l.HoldFor)
	k.check(l.Rights.Every >= time.Second && l.Rights.Every <= 24*time.Hour, key+"rights.every", "%s is out of range; expected 1s to 24h", l.Rights.Every)
	if !l.On() {
		k.check(untouched(l, defaultLDAP()), key+"hosts", "are missing, and without them nothing else in credentials.ldap counts")
		return
	}
	o := l.Options()
	if l.ServiceAccountFile != "" {
		k.check(l.ServiceAccountPassword == "", key+"serviceAccountPasswordFile", "does not go together with serviceAccountPassword; expected one of them")
		o.ServiceAccountPassword = "(in a file)"
	}
	if err := o.Check(); err != nil {
		name, what, _ := strings.Cut(err.Error(), ": ")
		k.check(false, key+name, "%s", what)
	}
	if err := l.Rights.Bases().Check(); err != nil {
		name, what, _ := strings.Cut(err.Error(), ": ")
		k.check(false, key+"rights."+name, "%s", what)
	}
}

// certificateUsers checks the rules.
func (k checker) certificateUsers() {
	if len(k.config.Credentials.Certificates) > 0 {
		shown := k.config.TLS.ClientAuth != "off" || slices.ContainsFunc(k.config.Listeners, func(l Listener) bool { return l.ClientAuth == "optional" || l.ClientAuth == "required" })
		k.check(shown, "credentials.certificates", "no client shows a certificate: tls.clientAuth is off; expected optional or required there, or at a listener")
	}
	for i, r := range k.config.Credentials.Certificates {
		if err := security.CheckCertificateRule(security.CertificateRule(r)); err != nil {
			k.check(false, fmt.Sprintf("credentials.certificates[%d]", i), "%v", err)
		}
	}
}
