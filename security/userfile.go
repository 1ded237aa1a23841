package security

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxUserFileBytes bounds a user file before it is read.
const maxUserFileBytes = 16 << 20

// UserFile is a file of users, one `name:hash:group1,group2` a line; the groups and their colon may be absent, so what
// `htpasswd -B` writes is one too. Blank lines and those that begin with # are kept as they are. A UserFile in memory
// is for one goroutine.
type UserFile struct {
	path   string
	onDisk []byte // as read, to notice that somebody else has written
	lines  []userLine
}

type userLine struct {
	text string // of a comment or a blank line
	user *User  // nil: text counts
}

// ErrUserExists and ErrNoUser are what Add, and what the other changes of a UserFile, fail with.
var (
	ErrUserExists = errors.New("user exists already")
	ErrNoUser     = errors.New("no such user")
)

// OpenUserFile reads a user file. One that does not exist is empty, and Save makes it. Errors name the file and line, and
// never repeat what might be a password.
func OpenUserFile(path string) (*UserFile, error) {
	f := &UserFile{path: path}
	content, err := readUserFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	if err := f.parse(content); err != nil {
		return nil, err
	}
	f.onDisk = content
	return f, nil
}

// LoadUsers reads the users of a file, which must exist.
func LoadUsers(path string) ([]User, error) {
	content, err := readUserFile(path)
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	f := &UserFile{path: path}
	if err := f.parse(content); err != nil {
		return nil, err
	}
	return f.Users(), nil
}

func readUserFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxUserFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxUserFileBytes {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxUserFileBytes>>20)
	}
	return content, nil
}

func (f *UserFile) parse(content []byte) error {
	var mistakes []error
	seen := make(map[string]int)
	number := 0
	for text := range strings.Lines(string(content)) {
		number++
		text = strings.TrimRight(text, "\r\n")
		if trimmed := strings.TrimSpace(text); trimmed == "" || trimmed[0] == '#' {
			f.lines = append(f.lines, userLine{text: text})
			continue
		}
		user, err := parseUserLine(text)
		if err == nil && seen[user.Name] > 0 {
			err = fmt.Errorf("user %q is in line %d already", user.Name, seen[user.Name])
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s:%d: %w", f.path, number, err))
			continue
		}
		seen[user.Name] = number
		f.lines = append(f.lines, userLine{user: &user})
	}
	return errors.Join(mistakes...)
}

func parseUserLine(text string) (User, error) {
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return User{}, errors.New("expected name:hash:group1,group2")
	}
	user := User{Name: strings.TrimSpace(parts[0]), PasswordHash: strings.TrimSpace(parts[1])}
	if err := checkFileName(user.Name); err != nil {
		return User{}, err
	}
	if err := CheckHash(user.PasswordHash); err != nil {
		return User{}, fmt.Errorf("user %q: %w", user.Name, err)
	}
	if len(parts) == 3 && strings.TrimSpace(parts[2]) != "" {
		for group := range strings.SplitSeq(parts[2], ",") {
			group = strings.TrimSpace(group)
			if err := checkGroup(group); err != nil {
				return User{}, fmt.Errorf("user %q: %w", user.Name, err)
			}
			user.Groups = append(user.Groups, group)
		}
	}
	return user, nil
}

// checkFileName is checkName with what the file's form forbids.
func checkFileName(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if strings.Contains(name, ":") || name[0] == '#' || strings.TrimSpace(name) != name {
		return fmt.Errorf("user name %q: in a user file a name has no colon, no # at its begin and no blanks around it", name)
	}
	return nil
}

// Users lists the users in the file's order. The slices are the caller's.
func (f *UserFile) Users() []User {
	var users []User
	for _, l := range f.lines {
		if l.user != nil {
			u := *l.user
			u.Groups = slices.Clone(u.Groups)
			users = append(users, u)
		}
	}
	return users
}

// Add adds a user with an argon2id hash of the password, or fails with ErrUserExists.
func (f *UserFile) Add(name, password string, groups ...string) error {
	if err := checkFileName(name); err != nil {
		return err
	}
	if _, err := f.find(name); err == nil {
		return fmt.Errorf("add %q: %w", name, ErrUserExists)
	}
	for _, g := range groups {
		if err := checkGroup(g); err != nil {
			return err
		}
	}
	hash, err := HashPassword(password)
	if err != nil {
		return fmt.Errorf("add %q: %w", name, err)
	}
	f.lines = append(f.lines, userLine{user: &User{Name: name, PasswordHash: hash, Groups: slices.Clone(groups)}})
	return nil
}

// SetPassword gives a user another password, or fails with ErrNoUser.
func (f *UserFile) SetPassword(name, password string) error {
	i, err := f.find(name)
	if err != nil {
		return fmt.Errorf("set password of %q: %w", name, err)
	}
	hash, err := HashPassword(password)
	if err != nil {
		return fmt.Errorf("set password of %q: %w", name, err)
	}
	f.lines[i].user.PasswordHash = hash
	return nil
}

// SetGroups replaces a user's groups, or fails with ErrNoUser.
func (f *UserFile) SetGroups(name string, groups ...string) error {
	i, err := f.find(name)
	if err != nil {
		return fmt.Errorf("set groups of %q: %w", name, err)
	}
	for _, g := range groups {
		if err := checkGroup(g); err != nil {
			return fmt.Errorf("set groups of %q: %w", name, err)
		}
	}
	f.lines[i].user.Groups = slices.Clone(groups)
	return nil
}

// Remove removes a user, or fails with ErrNoUser.
func (f *UserFile) Remove(name string) error {
	i, err := f.find(name)
	if err != nil {
		return fmt.Errorf("remove %q: %w", name, err)
	}
	f.lines = slices.Delete(f.lines, i, i+1)
	return nil
}

func (f *UserFile) find(name string) (int, error) {
	for i, l := range f.lines {
		if l.user != nil && l.user.Name == name {
			return i, nil
		}
	}
	return 0, ErrNoUser
}

// Save replaces the file in one step, readable by its owner only: whoever reads sees the old content or the new one. It
// fails, and changes nothing, if another has written the file since it was opened.
func (f *UserFile) Save() error {
	now, err := readUserFile(f.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("save users: %w", err)
	}
	if !bytes.Equal(now, f.onDisk) {
		return fmt.Errorf("save users: %s was changed by somebody else meanwhile; try again", f.path)
	}
	content := f.format()
	// A link keeps pointing at the file that it means.
	path := f.path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if err := replaceFile(path, content); err != nil {
		return fmt.Errorf("save users: %w", err)
	}
	f.onDisk = content
	return nil
}

func (f *UserFile) format() []byte {
	var b bytes.Buffer
	for _, l := range f.lines {
		if l.user == nil {
			fmt.Fprintln(&b, l.text)
			continue
		}
		fmt.Fprintf(&b, "%s:%s:%s\n", l.user.Name, l.user.PasswordHash, strings.Join(l.user.Groups, ","))
	}
	return b.Bytes()
}

// replaceFile writes beside the file and renames, with what a crash needs: the content is on disk before its name is.
func replaceFile(path string, content []byte) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			temp.Close()
			os.Remove(temp.Name())
		}
	}()
	if _, err = temp.Write(content); err != nil {
		return err
	}
	if err = temp.Sync(); err != nil {
		return err
	}
	if err = temp.Close(); err != nil {
		return err
	}
	if err = os.Rename(temp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil // the file is replaced; that its directory cannot be synced is no reason to say otherwise
	}
	dir.Sync()
	dir.Close()
	return nil
}
