package cluster

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"regexp"
	"strings"
)

// Token is what a host needs to join as a node: who has it can become that node, once. Its text is godwit1_ and, in base64 (URL, unpadded), how many addresses there are
// and each with its length (a byte each), the node's name with its length, 32 bytes of Authority, 16 of the secret, and a CRC-32 of all before (IEEE, big-endian), so
// that a token of which a part was not copied is told from one that is refused.
type Token struct {
	Addresses []string          // HOST:PORT of the inviter: any of them will do
	Node      string            // who the host becomes
	Authority [sha256.Size]byte // SHA-256 of the certificate (DER) of the cluster's authority: by it the inviter is recognised
	secret    [secretSize]byte
}

const (
	tokenKind    = "godwit"
	tokenVersion = "1"
	tokenPrefix  = tokenKind + tokenVersion + "_"
	secretSize   = 16
	maxAddresses = 4
	maxToken     = 2048 // characters; what the parts may be is less
)

// nodeName is what the configuration takes as cluster.name.
var nodeName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,50}$`)

// CheckName says what is wrong with a node's name, which becomes that of files: NAME.pem and NAME-key.pem, beside those of the authority and of other nodes.
func CheckName(name string) error {
	if !nodeName.MatchString(name) {
		return fmt.Errorf("%q cannot be the name of a node; expected 1 to 50 letters, digits, '_' or '-'", name)
	}
	if strings.HasSuffix(name, "-key") || name+".pem" == AuthorityFile {
		return fmt.Errorf("%q cannot be the name of a node: %s.pem is another file", name, name)
	}
	return nil
}

// tokenAddress keeps out what a terminal would not show as it is.
var tokenAddress = regexp.MustCompile(`^[!-~]{1,255}$`)

var errToken = errors.New("the token is not whole: copy all that was printed, from " + tokenPrefix + " to the end")

// String is the text that ParseToken reads.
func (t Token) String() string {
	b := []byte{byte(len(t.Addresses))}
	for _, text := range append(append([]string{}, t.Addresses...), t.Node) {
		b = append(append(b, byte(len(text))), text...)
	}
	b = append(append(b, t.Authority[:]...), t.secret[:]...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// ParseToken reads a token's text.
func ParseToken(text string) (Token, error) {
	var t Token
	if len(text) > maxToken {
		return t, errToken
	}
	encoded, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok {
		if version, _, found := strings.Cut(strings.TrimPrefix(text, tokenKind), "_"); found && strings.HasPrefix(text, tokenKind) && version != "" && strings.Trim(version, "0123456789") == "" {
			return t, fmt.Errorf("the token is of kind %s, and this godwit knows %s: use the same version here and where it was made", version, tokenVersion)
		}
		return t, fmt.Errorf("%w: it begins with something else", errToken)
	}
	b, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(b) < 4 {
		return t, errToken
	}
	b, sum := b[:len(b)-4], b[len(b)-4:]
	if crc32.ChecksumIEEE(b) != binary.BigEndian.Uint32(sum) || len(b) == 0 {
		return t, errToken
	}
	count, b := int(b[0]), b[1:]
	var texts []string
	for range count + 1 {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return t, errToken
		}
		texts, b = append(texts, string(b[1:1+int(b[0])])), b[1+int(b[0]):]
	}
	if len(b) != len(t.Authority)+len(t.secret) {
		return t, errToken
	}
	t.Addresses, t.Node = texts[:count], texts[count]
	copy(t.Authority[:], b)
	copy(t.secret[:], b[len(t.Authority):])
	if err := t.check(); err != nil {
		return t, err
	}
	if t.String() != text { // base64 has several texts for the same bytes
		return t, errToken
	}
	return t, nil
}

// check says what a token cannot be.
func (t Token) check() error {
	if err := CheckName(t.Node); err != nil {
		return err
	}
	if len(t.Addresses) == 0 || len(t.Addresses) > maxAddresses {
		return fmt.Errorf("%d addresses of an inviter; expected 1 to %d", len(t.Addresses), maxAddresses)
	}
	for _, a := range t.Addresses {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" || !tokenAddress.MatchString(a) {
			return fmt.Errorf("%q is no HOST:PORT at which an inviter could be reached", a)
		}
	}
	return nil
}
