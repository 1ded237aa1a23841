package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/message"
)

// remote is a client of the API that flags and environment name.
func (c *cli) remote() (*client.Client, error) {
	address := cmp.Or(c.api, os.Getenv("GODWIT_API"), client.DefaultURL)
	options := client.Options{User: cmp.Or(c.user, os.Getenv("GODWIT_USER")), Password: cmp.Or(os.Getenv("GODWIT_PASSWORD"), c.password)}
	if options.User != "" && options.Password == "" {
		var err error
		if options.Password, err = c.askPassword("Password of " + options.User + ": "); err != nil {
			return nil, fmt.Errorf("the password of %s is needed: set GODWIT_PASSWORD, or run in a terminal: %w", options.User, err)
		}
		c.password = options.Password
	}
	if c.broker != "" {
		address = strings.TrimSuffix(address, "/") + "/api/v1/brokers/" + url.PathEscape(c.broker)
	}
	api, err := client.New(address, options)
	if err != nil {
		return nil, &usageError{err}
	}
	return api, nil
}

// terminal says whether a file is one.
func terminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// askPassword reads a password from the terminal without showing it.
func (c *cli) askPassword(prompt string) (string, error) {
	if !terminal(c.in) {
		return "", errors.New("standard input is not a terminal")
	}
	fmt.Fprint(c.err, prompt)
	password, err := term.ReadPassword(int(c.in.Fd()))
	fmt.Fprintln(c.err)
	return string(password), err
}

// destination reads a command's argument; without a scheme it is a queue.
func destination(text string) (message.Destination, error) {
	d, err := message.ParseDestination(text, message.Queue)
	if err == nil && strings.Contains(d.Name, "://") && !strings.Contains(d.Name, ",") {
		err = fmt.Errorf("destination %q has an unknown scheme; expected queue://NAME or topic://NAME", text)
	}
	if err != nil {
		return d, &usageError{err}
	}
	return d, nil
}
