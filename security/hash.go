package security

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// maxPasswordBytes bounds a password before anything is computed from it.
const maxPasswordBytes = 1024

// Parameters of new hashes: the least that OWASP's password storage sheet advises for argon2id. More memory would be
// safer still, but a broker's logins are many and its memory is budgeted.
const (
	newMemoryKiB = 19 * 1024
	newPasses    = 2
	newLanes     = 1
	saltBytes    = 16
	keyBytes     = 32
)

// Limits of hashes that are read: a wrong figure in a file must not stop the broker for minutes.
const (
	maxMemoryKiB  = 1024 * 1024
	maxPasses     = 64
	maxLanes      = 64
	maxBcryptCost = 20
)

// passwordHash verifies a password; it takes milliseconds to seconds of one core.
type passwordHash interface {
	verify(password string) bool
	text() string
}

// HashPassword makes an argon2id hash in PHC form with a random salt. It takes some 20 ms and 19 MiB for the time. An
// empty password and one of more than 1,024 bytes are refused.
func HashPassword(password string) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, newPasses, newMemoryKiB, newLanes, keyBytes)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, newMemoryKiB, newPasses, newLanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key)), nil
}

// Digest is a hash of something secret that comes out the same each time, for comparing. It takes as long as a password's hash, so that whoever gets hold
// of it and of the salt cannot try many guesses. The salt has 16 bytes or more.
func Digest(secret, salt []byte) string {
	return base64.RawStdEncoding.EncodeToString(argon2.IDKey(secret, salt, newPasses, newMemoryKiB, newLanes, keyBytes))
}

// CheckHash says what is wrong with a stored hash. It never repeats the text: it may be a password.
func CheckHash(text string) error {
	_, err := parseHash(text)
	return err
}

func checkPassword(password string) error {
	switch {
	case password == "":
		return errors.New("an empty password is not accepted")
	case len(password) > maxPasswordBytes:
		return fmt.Errorf("a password has at most %d bytes", maxPasswordBytes)
	}
	return nil
}

func parseHash(text string) (passwordHash, error) {
	switch {
	case strings.HasPrefix(text, "$argon2id$"):
		return parseArgon2id(text)
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		cost, err := bcrypt.Cost([]byte(text))
		if err != nil || len(text) != 60 {
			return nil, errors.New("the bcrypt hash is damaged")
		}
		if cost > maxBcryptCost {
			return nil, fmt.Errorf("the bcrypt hash has cost %d; at most %d is accepted", cost, maxBcryptCost)
		}
		return bcryptHash(text), nil
	case strings.HasPrefix(text, "$argon2"), strings.HasPrefix(text, "$apr1$"), strings.HasPrefix(text, "$1$"),
		strings.HasPrefix(text, "$5$"), strings.HasPrefix(text, "$6$"), strings.HasPrefix(text, "$y$"),
		strings.HasPrefix(text, "{"), strings.HasPrefix(text, "ENC("):
		return nil, errors.New("this kind of password hash is not accepted; expected argon2id ($argon2id$...) or bcrypt ($2a$, $2b$ or $2y$)")
	}
	return nil, errors.New("the password is not a hash, and plain text is not accepted; " +
		"set it anew with `godwit users passwd NAME`, which stores an argon2id hash")
}

type argon2idHash struct {
	source    string
	memoryKiB uint32
	passes    uint32
	lanes     uint8
	salt, key []byte
}

// parseArgon2id reads $argon2id$v=19$m=19456,t=2,p=1$salt$key (PHC string format; base64 without padding).
func parseArgon2id(text string) (passwordHash, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 {
		return nil, errors.New("the argon2id hash is damaged; expected $argon2id$v=19$m=..,t=..,p=..$salt$key")
	}
	if parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return nil, fmt.Errorf("the argon2id hash is not of version %d", argon2.Version)
	}
	h := &argon2idHash{source: text}
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return nil, errors.New("the argon2id hash needs the parameters m, t and p")
	}
	var lanes uint32
	for i, want := range []struct {
		name     string
		into     *uint32
		min, max uint32
	}{{"m", &h.memoryKiB, 8, maxMemoryKiB}, {"t", &h.passes, 1, maxPasses}, {"p", &lanes, 1, maxLanes}} {
		value, ok := strings.CutPrefix(params[i], want.name+"=")
		n, err := strconv.ParseUint(value, 10, 32)
		if !ok || err != nil || uint32(n) < want.min || uint32(n) > want.max {
			return nil, fmt.Errorf("the argon2id hash's parameter %s must be %d to %d", want.name, want.min, want.max)
		}
		*want.into = uint32(n)
	}
	h.lanes = uint8(lanes)
	var err error
	if h.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return nil, errors.New("the argon2id hash's salt must be 8 to 64 bytes in base64 without padding")
	}
	if h.key, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil || len(h.key) < 16 || len(h.key) > 64 {
		return nil, errors.New("the argon2id hash's key must be 16 to 64 bytes in base64 without padding")
	}
	return h, nil
}

func (h *argon2idHash) verify(password string) bool {
	key := argon2.IDKey([]byte(password), h.salt, h.passes, h.memoryKiB, h.lanes, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1
}

func (h *argon2idHash) text() string { return h.source }

type bcryptHash string

// verify compares the first 72 bytes of the password: that is all that bcrypt looks at, here and elsewhere.
func (h bcryptHash) verify(password string) bool {
	p := []byte(password)
	return bcrypt.CompareHashAndPassword([]byte(h), p[:min(len(p), 72)]) == nil
}

func (h bcryptHash) text() string { return string(h) }
