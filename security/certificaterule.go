package security

import (
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
)

// CertificateRule makes a user of a client certificate.
type CertificateRule struct {
	// From is what of the certificate is looked at: "dn" is the subject as Java prints it ("CN=client1, O=T"), "cn" its common names, "dns", "email", "uri"
	// and "ip" the names of that kind in subjectAltName.
	From string
	// Matching is a regular expression (RE2) that must fit the whole of it. Of several values the first that fits counts.
	Matching string
	// User is the user's name; $1, ${1} or ${name} stand for what the groups in Matching have found.
	User string
	// Groups the user is in. Without any, the user must be one of the policy's, and is in that one's groups.
	Groups []string
}

type certificateRule struct {
	CertificateRule
	matching *regexp.Regexp
}

// certificateParts are where a rule may look.
var certificateParts = map[string]func(*x509.Certificate) []string{
	"dn": func(c *x509.Certificate) []string { return []string{subjectText(c)} },
	"cn": func(c *x509.Certificate) []string {
		elements, err := certificateName(c)
		if err != nil {
			return nil
		}
		var names []string
		for _, element := range elements {
			for _, a := range element {
				if a.kind == "CN" {
					names = append(names, a.value)
				}
			}
		}
		return names
	},
	"dns":   func(c *x509.Certificate) []string { return c.DNSNames },
	"email": func(c *x509.Certificate) []string { return c.EmailAddresses },
	"uri": func(c *x509.Certificate) []string {
		texts := make([]string, len(c.URIs))
		for i, u := range c.URIs {
			texts[i] = u.String()
		}
		return texts
	},
	"ip": func(c *x509.Certificate) []string {
		texts := make([]string, len(c.IPAddresses))
		for i, a := range c.IPAddresses {
			texts[i] = a.String()
		}
		return texts
	},
}

// CheckCertificateRule says what is wrong with a rule.
func CheckCertificateRule(r CertificateRule) error {
	_, err := compileCertificateRule(r)
	return err
}

func compileCertificateRule(r CertificateRule) (certificateRule, error) {
	c := certificateRule{CertificateRule: r}
	if certificateParts[r.From] == nil {
		return c, fmt.Errorf("%q is no part of a certificate; expected dn, cn, dns, email, uri or ip", r.From)
	}
	if r.User == "" {
		return c, errors.New("says no user; expected a name, or $1 for the first group of matching")
	}
	for _, g := range r.Groups {
		if err := checkGroup(g); err != nil {
			return c, err
		}
	}
	if r.Matching == "" {
		return c, errors.New("matches nothing: matching is empty; expected a regular expression such as (.+)")
	}
	if _, err := regexp.Compile(r.Matching); err != nil { // by itself first, so that no bracket closes ours
		return c, fmt.Errorf("matching is no regular expression: %w", err)
	}
	var err error
	c.matching, err = regexp.Compile(`\A(?:` + r.Matching + `)\z`)
	return c, err
}

// account is the user that the rule makes of a certificate; nil if it makes none.
func (r *certificateRule) account(s *snapshot, c *x509.Certificate) *account {
	for _, value := range certificateParts[r.From](c) {
		found := r.matching.FindStringSubmatchIndex(value)
		if found == nil {
			continue
		}
		name := string(r.matching.ExpandString(nil, r.User, value, found))
		if checkName(name) != nil {
			continue
		}
		if len(r.Groups) > 0 {
			return &account{name: name, groups: r.Groups}
		}
		if own := s.users[name]; own != nil {
			return own
		}
	}
	return nil
}
