package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/security"
	"github.com/godwitmq/godwit/security/ldap"
	"github.com/godwitmq/godwit/security/oidc"
)

// servers are those that guards ask who somebody is. The zero value asks nobody.
type servers struct {
	ldap       *ldap.Directory
	ldapFrom   config.LDAP
	ldapCA     string           // the file's content
	ldapRights []security.Entry // as read last
	ldapRead   bool             // they were read at least once

	oidc     *oidc.Provider
	oidcFrom config.OIDC
	oidcCA   string
}

// next is what cfg names. What is as before is kept, with what it remembers.
func (s servers) next(cfg *config.Config, log *slog.Logger) (servers, error) {
	var fresh servers
	if err := fresh.tokens(s, cfg.Credentials.OIDC, log); err != nil {
		return servers{}, err
	}
	l := cfg.Credentials.LDAP
	if !l.On() {
		return fresh, nil
	}
	roots, text, err := authorities(l.CA, "credentials.ldap.ca")
	if err != nil {
		return servers{}, err
	}
	if l.ServiceAccountFile != "" {
		password, err := os.ReadFile(l.ServiceAccountFile)
		if err != nil {
			return servers{}, fmt.Errorf("credentials.ldap.serviceAccountPasswordFile: %w", err)
		}
		l.ServiceAccountPassword = strings.TrimRight(string(password), "\r\n")
	}
	fresh.ldapFrom, fresh.ldapCA = l, text
	was, is := s.ldapFrom, l
	was.Rights, is.Rights = config.LDAPRights{}, config.LDAPRights{}
	if s.ldap != nil && s.ldapCA == text && reflect.DeepEqual(was, is) {
		fresh.ldap = s.ldap
		if s.ldapFrom.Rights.Bases() == l.Rights.Bases() {
			fresh.ldapRights, fresh.ldapRead = s.ldapRights, s.ldapRead
		}
	} else {
		o := l.Options()
		o.Roots, o.Log = roots, log
		if fresh.ldap, err = ldap.New(o); err != nil {
			return servers{}, err
		}
	}
	if l.Rights.Bases().On() && !fresh.ldapRead { // so that clients that come at once find their rights
		fresh.read(log)
	}
	return fresh, nil
}

// tokens is next for those of a provider.
func (s *servers) tokens(before servers, o config.OIDC, log *slog.Logger) error {
	if !o.On() {
		return nil
	}
	roots, text, err := authorities(o.CA, "credentials.oidc.ca")
	if err != nil {
		return err
	}
	s.oidcFrom, s.oidcCA = o, text
	if before.oidc != nil && before.oidcCA == text && reflect.DeepEqual(before.oidcFrom, o) {
		s.oidc = before.oidc
		return nil
	}
	options := o.Options()
	options.Roots, options.Log = roots, log
	s.oidc, err = oidc.New(options)
	return err
}

// read reads the rights in LDAP; those read before stay if that fails.
func (s *servers) read(log *slog.Logger) {
	rights, notes, err := s.ldap.Rights(s.ldapFrom.Rights.Bases())
	if err != nil {
		log.Error("the rights in LDAP cannot be read; what was read last holds", "read before", s.ldapRead, "error", err)
		return
	}
	if s.ldapRead && reflect.DeepEqual(rights, s.ldapRights) {
		return
	}
	s.ldapRights, s.ldapRead = rights, true
	log.Info("rights were read from LDAP", "entries", len(rights))
	for _, n := range notes {
		log.Warn("a right in LDAP does not count", "why", n)
	}
}

// directories are in the order in which they are asked: what looks like a token is never shown to an LDAP server.
func (s servers) directories() (list []security.Directory) {
	if s.oidc != nil {
		list = append(list, s.oidc)
	}
	if s.ldap != nil {
		list = append(list, s.ldap)
	}
	return list
}

// rights are those of the directories. Where they should say some and do not, nobody has any: without an entry everybody would have all.
func (s servers) rights() []security.Entry {
	if s.ldap == nil || !s.ldapFrom.Rights.Bases().On() {
		return nil
	}
	closed := []security.Entry{{Destination: ">"}}
	if s.ldapFrom.Rights.TempBase != "" {
		closed = append(closed, security.Entry{Destination: "temp://>"})
	}
	return append(closed, s.ldapRights...)
}

// closeBut ends what others do not use as well.
func (s servers) closeBut(others servers) {
	if s.ldap != nil && s.ldap != others.ldap {
		s.ldap.Close()
	}
}

// watch reads rights again from time to time, until ctx ends; then the directories are closed.
func (g *guards) watch(ctx context.Context) {
	for {
		g.mu.Lock()
		s := g.servers
		g.mu.Unlock()
		var due <-chan time.Time
		if s.ldap != nil && s.ldapFrom.Rights.Bases().On() {
			due = time.After(s.ldapFrom.Rights.Every)
		}
		select {
		case <-ctx.Done():
			g.mu.Lock()
			defer g.mu.Unlock()
			g.servers.closeBut(servers{})
			return
		case <-g.changed:
		case <-due:
			s.read(g.log) // not under the lock: a server may take its time
			g.mu.Lock()
			if g.servers.ldap == s.ldap && g.servers.ldapFrom.Rights == s.ldapFrom.Rights && !reflect.DeepEqual(g.servers.ldapRights, s.ldapRights) {
				g.servers.ldapRights, g.servers.ldapRead = s.ldapRights, s.ldapRead
				if err := g.apply(); err != nil {
					g.log.Error("the rights in LDAP are not usable", "error", err)
				}
			}
			g.mu.Unlock()
		}
	}
}

// authorities reads a PEM file of certificates; without a name they are the system's.
func authorities(file, key string) (*x509.CertPool, string, error) {
	if file == "" {
		return nil, "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", key, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, "", fmt.Errorf("%s: %s has no certificate in PEM form", key, file)
	}
	return pool, string(text), nil
}
