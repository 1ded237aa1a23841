package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/security"
)

// usersFlags name the file.
type usersFlags struct {
	file   string
	config string
	data   string
}

// open opens the users' file: --file, or that of the configuration.
func (f *usersFlags) open() (*security.UserFile, string, error) {
	path := f.file
	if path == "" {
		serve := serveFlags{file: f.config, values: map[string]*string{}}
		for _, k := range serveKeys {
			serve.values[k.flag] = new(string)
		}
		*serve.values["data"] = f.data
		cfg, err := serve.load()
		if err != nil {
			return nil, "", err
		}
		path = cfg.UsersPath()
	}
	file, err := security.OpenUserFile(path)
	return file, path, err
}

func (c *cli) users() *cobra.Command {
	var f usersFlags
	root := &cobra.Command{
		Use: "users", Short: "Add, change and list users in the users' file",
		Long: "Add, change and list users in the users' file. A running broker takes changes over at `godwit reload` or SIGHUP.\n" +
			"Passwords are asked for, or read as one line from standard input; the file holds argon2id hashes of them.",
		Args: exactly(1, "add, passwd, groups, remove, list or hash"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return &usageError{fmt.Errorf("%q is not known; expected add, passwd, groups, remove, list or hash", args[0])}
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&f.file, "file", "", "the users' file (default: that of the configuration, or the file users in the data folder)")
	flags.StringVarP(&f.config, "config", "c", "", "configuration file that names the users' file (default "+config.FileName+", if it is there)")
	flags.StringVar(&f.data, "data", "", "the broker's data folder")
	root.AddCommand(c.usersAdd(&f), c.usersPassword(&f), c.usersGroups(&f), c.usersRemove(&f), c.usersList(&f), c.usersHash())
	return root
}

func (c *cli) usersAdd(f *usersFlags) *cobra.Command {
	var groups []string
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Add a user", Args: exactly(1, "a user's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeUsers(f, "added "+args[0], func(file *security.UserFile) error {
				password, err := c.newPassword(args[0])
				if err != nil {
					return err
				}
				return file.Add(args[0], password, groups...)
			})
		},
	}
	cmd.Flags().StringArrayVarP(&groups, "group", "g", nil, "group of the user; may be repeated")
	return cmd
}

func (c *cli) usersPassword(f *usersFlags) *cobra.Command {
	return &cobra.Command{
		Use: "passwd NAME", Short: "Change a user's password", Args: exactly(1, "a user's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeUsers(f, "changed the password of "+args[0], func(file *security.UserFile) error {
				password, err := c.newPassword(args[0])
				if err != nil {
					return err
				}
				return file.SetPassword(args[0], password)
			})
		},
	}
}

func (c *cli) usersGroups(f *usersFlags) *cobra.Command {
	return &cobra.Command{
		Use: "groups NAME [GROUP...]", Short: "Set a user's groups", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeUsers(f, "changed the groups of "+args[0], func(file *security.UserFile) error { return file.SetGroups(args[0], args[1:]...) })
		},
	}
}

func (c *cli) usersRemove(f *usersFlags) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Remove a user", Args: exactly(1, "a user's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeUsers(f, "removed "+args[0], func(file *security.UserFile) error { return file.Remove(args[0]) })
		},
	}
}

func (c *cli) usersHash() *cobra.Command {
	return &cobra.Command{
		Use: "hash", Short: "Print a password's hash, for credentials.users in " + config.FileName, Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := c.newPassword("")
			if err != nil {
				return err
			}
			hash, err := security.HashPassword(password)
			if err == nil {
				fmt.Fprintln(c.out, hash)
			}
			return err
		},
	}
}

func (c *cli) usersList(f *usersFlags) *cobra.Command {
	type row struct {
		Name   string   `json:"name"`
		Groups []string `json:"groups"`
	}
	l := &listing[row]{sort: "name", columns: []column[row]{
		{"name", func(r row) any { return r.Name }},
		{"groups", func(r row) any { return strings.Join(r.Groups, ", ") }},
	}}
	cmd := &cobra.Command{Use: "list", Short: "List the users", Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, _, err := f.open()
			if err != nil {
				return err
			}
			rows := []row{}
			for _, u := range file.Users() {
				rows = append(rows, row{u.Name, append([]string{}, u.Groups...)})
			}
			return l.print(c.out, rows, c.output)
		}}
	l.flags(cmd, &c.output)
	return cmd
}

// changeUsers opens the file, changes it, saves it and says so.
func (c *cli) changeUsers(f *usersFlags, done string, change func(*security.UserFile) error) error {
	file, path, err := f.open()
	if err != nil {
		return err
	}
	if err := change(file); err != nil {
		return err
	}
	if err := file.Save(); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s in %s\n", done, path)
	return nil
}

// newPassword asks for a new password, twice at a terminal.
func (c *cli) newPassword(user string) (string, error) {
	if !terminal(c.in) {
		line, err := bufio.NewReader(io.LimitReader(c.in, 8<<10)).ReadString('\n')
		if err != nil && (err != io.EOF || line == "") {
			return "", errors.New("standard input has no password")
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	of := ""
	if user != "" {
		of = " of " + user
	}
	first, err := c.askPassword("New password" + of + ": ")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	again, err := c.askPassword("Once more: ")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if first != again {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return first, nil
}
