package dns

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Key is what this side and the servers share.
type Key struct {
	Name      string // canonical: "godwit."
	Algorithm string // canonical: "hmac-sha256."
	secret    []byte
}

// algorithms are those that are still good.
var algorithms = map[string]func() hash.Hash{
	dns.HmacSHA224: sha256.New224, dns.HmacSHA256: sha256.New, dns.HmacSHA384: sha512.New384, dns.HmacSHA512: sha512.New,
}

// maxKeyFile bounds a key's file, in bytes: a larger one is something else by mistake.
const maxKeyFile = 16 << 10

var (
	clause  = regexp.MustCompile(`(?s)\bkey\s+"?([^"\s{]+)"?\s*\{(.*?)\}`)
	field   = regexp.MustCompile(`(?m)\b(algorithm|secret)\s+"?([^"\s;]+)"?\s*;`)
	oneLine = regexp.MustCompile(`(?m)^(?:#\s*)?(hmac-[a-z0-9-]+):([^\s:]+):(\S+)\s*$`)
)

// ReadKey reads a key from a file as BIND's tsig-keygen writes it (a key clause of named.conf), or Knot's keymgr -t (whose first line has ALGORITHM:NAME:SECRET).
func ReadKey(file string) (Key, error) {
	f, err := os.Open(file)
	if err != nil {
		return Key{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return Key{}, err
	}
	if len(data) > maxKeyFile {
		return Key{}, fmt.Errorf("%s has more than %d bytes, which no key has", file, maxKeyFile)
	}
	k, err := parseKey(string(data))
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", file, err)
	}
	return k, nil
}

func parseKey(text string) (Key, error) {
	if m := clause.FindStringSubmatch(text); m != nil {
		fields := map[string]string{}
		for _, f := range field.FindAllStringSubmatch(m[2], -1) {
			fields[f[1]] = f[2]
		}
		return newKey(m[1], fields["algorithm"], fields["secret"])
	}
	if m := oneLine.FindStringSubmatch(text); m != nil {
		return newKey(m[2], m[1], m[3])
	}
	return Key{}, errors.New(`is no key; expected what tsig-keygen writes, key "NAME" { algorithm hmac-sha256; secret "..."; };`)
}

func newKey(name, algorithm, secret string) (Key, error) {
	k := Key{Name: canonical(name), Algorithm: canonical(algorithm)}
	if _, ok := dns.IsDomainName(k.Name); !ok {
		return Key{}, fmt.Errorf("the key's name %q is no name", name)
	}
	if algorithms[k.Algorithm] == nil {
		var known []string
		for a := range algorithms {
			known = append(known, strings.TrimSuffix(a, "."))
		}
		slices.Sort(known)
		return Key{}, fmt.Errorf("the key's algorithm is %q; expected one of %s", algorithm, strings.Join(known, ", "))
	}
	var err error
	if k.secret, err = base64.StdEncoding.DecodeString(secret); err != nil || len(k.secret) == 0 {
		return Key{}, errors.New("the key's secret is not in base 64") // and not to be shown
	}
	return k, nil
}

// errKey means that a signature is not made with the key.
var errKey = errors.New("the signature does not fit")

// Generate implements dns.TsigProvider.
func (k *Key) Generate(msg []byte, t *dns.TSIG) ([]byte, error) {
	if canonical(t.Hdr.Name) != k.Name || canonical(t.Algorithm) != k.Algorithm {
		return nil, fmt.Errorf("%w: it is of %s, %s", errKey, t.Hdr.Name, t.Algorithm)
	}
	h := hmac.New(algorithms[k.Algorithm], k.secret)
	h.Write(msg)
	return h.Sum(nil), nil
}

// Verify implements dns.TsigProvider.
func (k *Key) Verify(msg []byte, t *dns.TSIG) error {
	want, err := k.Generate(msg, t)
	if err != nil {
		return err
	}
	got, err := hex.DecodeString(t.MAC)
	if err != nil || !hmac.Equal(got, want) {
		return errKey
	}
	return nil
}
