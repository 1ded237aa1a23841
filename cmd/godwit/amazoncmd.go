package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/mqapi"
	amazon "github.com/godwitmq/godwit/control/mqapi/client"
)

// What is here asks in Amazon MQ's own words, so that its rules and errors are the same for all who ask.

// amazonFlags say for whom is asked.
type amazonFlags struct{ account, region string }

func (f *amazonFlags) add(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&f.account, "account", "", "account, twelve digits (default: service.account of the configuration)")
	cmd.PersistentFlags().StringVar(&f.region, "region", "", "region (default: service.region of the configuration)")
}

// amazon is a client of Amazon MQ's API for an account and a region.
func (c *cli) amazon(f *amazonFlags) (*amazon.Client, error) {
	remote, err := c.remote()
	if err != nil {
		return nil, err
	}
	return amazon.New(remote, f.account, f.region), nil
}

// amazonOf is the same for the account and the region of a broker, which it finds by its name or id.
func (c *cli) amazonOf(ctx context.Context, name string) (*amazon.Client, *api.Broker, error) {
	remote, err := c.remote()
	if err != nil {
		return nil, nil, err
	}
	b, err := remote.Broker(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	return amazon.New(remote, b.Account, b.Region), b, nil
}

// modes are the short words for deployment modes; Amazon's own are understood, too.
var modes = map[string]mqapi.DeploymentMode{"single": mqapi.DeploymentModeSingleInstance, "pair": mqapi.DeploymentModeActiveStandbyMultiAz}

func deploymentMode(word string) mqapi.DeploymentMode {
	return cmp.Or(modes[word], mqapi.DeploymentMode(word))
}

// brokerFlags are what a broker can be made with and changed to. Only those that were given count.
type brokerFlags struct {
	mode, kind, version, configuration, window string
	storage                                    int32
	subnets, groups                            []string
	general, audit, minor, wait                bool
}

func (f *brokerFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.mode, "mode", "", "single or pair (SINGLE_INSTANCE or ACTIVE_STANDBY_MULTI_AZ)")
	flags.StringVar(&f.kind, "type", "", "instance type, as godwit instance-types lists them")
	flags.StringVar(&f.version, "engine-version", "", "engine version")
	flags.Int32Var(&f.storage, "storage", 0, "GiB of storage, apart from the type")
	flags.StringSliceVar(&f.subnets, "subnet", nil, "subnet for an instance; a pair has two")
	flags.StringSliceVar(&f.groups, "security-group", nil, "security group, by name or id, in place of those that are there; \"\" for none")
	flags.StringVar(&f.configuration, "configuration", "", "configuration: ID, or ID:REVISION")
	flags.StringVar(&f.window, "window", "", `maintenance window, for example "SUNDAY 03:00 Europe/Berlin"`)
	flags.BoolVar(&f.general, "general-log", false, "write the general log")
	flags.BoolVar(&f.audit, "audit-log", false, "write the audit log")
	flags.BoolVar(&f.minor, "auto-minor-version-upgrade", false, "take minor versions in the maintenance window")
	flags.BoolVar(&f.wait, "wait", false, "wait until it is done, and show each step")
}

// given is a flag's value if it was given.
func given[T any](cmd *cobra.Command, flag string, value T) *T {
	if !cmd.Flags().Changed(flag) {
		return nil
	}
	return &value
}

// weekly reads a maintenance window.
func (f *brokerFlags) weekly(cmd *cobra.Command) (*mqapi.WeeklyStartTime, error) {
	if !cmd.Flags().Changed("window") {
		return nil, nil
	}
	words := strings.Fields(f.window)
	if len(words) < 2 || len(words) > 3 {
		return nil, &usageError{fmt.Errorf(`window %q is not one; expected a day, a time and maybe a time zone: "SUNDAY 03:00 Europe/Berlin"`, f.window)}
	}
	w := &mqapi.WeeklyStartTime{DayOfWeek: mqapi.DayOfWeek(strings.ToUpper(words[0])), TimeOfDay: words[1]}
	if len(words) == 3 {
		w.TimeZone = &words[2]
	}
	return w, nil
}

// reference reads ID or ID:REVISION.
func (f *brokerFlags) reference(cmd *cobra.Command) (*mqapi.ConfigurationID, error) {
	if !cmd.Flags().Changed("configuration") {
		return nil, nil
	}
	id, revision, has := strings.Cut(f.configuration, ":")
	ref := &mqapi.ConfigurationID{ID: id}
	if has {
		n, err := strconv.ParseInt(revision, 10, 32)
		if err != nil {
			return nil, &usageError{fmt.Errorf("configuration %q: %q is no revision; expected ID or ID:REVISION", f.configuration, revision)}
		}
		ref.Revision = new(int32(n))
	}
	return ref, nil
}

func (f *brokerFlags) logs(cmd *cobra.Command) *mqapi.Logs {
	l := &mqapi.Logs{General: given(cmd, "general-log", f.general), Audit: given(cmd, "audit-log", f.audit)}
	if l.General == nil && l.Audit == nil {
		return nil
	}
	return l
}

func (c *cli) createBroker() *cobra.Command {
	var f brokerFlags
	var who amazonFlags
	var user string
	var userGroups []string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a broker", Args: exactly(1, "the name of the broker"),
		Long: "Make a broker, single or a pair of an active and a standby instance with a witness. Its first user's password is asked for, or read as one line from standard input.\n" +
			"The command returns when the work has begun; with --wait when the broker runs.",
		Example: "  godwit brokers create payroll --mode pair --type mq.t3.micro --first-user ann --wait",
		RunE: func(cmd *cobra.Command, args []string) error {
			mq, err := c.amazon(&who)
			if err != nil {
				return err
			}
			if f.groups, err = c.groupIDs(cmd.Context(), f.groups); err != nil {
				return err
			}
			ask := &mqapi.CreateBrokerRequest{BrokerName: args[0], DeploymentMode: deploymentMode(cmp.Or(f.mode, "single")), EngineType: mqapi.EngineTypeActiveMQ, HostInstanceType: cmp.Or(f.kind, "mq.t3.micro"),
				EngineVersion: given(cmd, "engine-version", f.version), StorageSize: given(cmd, "storage", f.storage), SubnetIDs: f.subnets, SecurityGroups: f.groups, Logs: f.logs(cmd),
				AutoMinorVersionUpgrade: given(cmd, "auto-minor-version-upgrade", f.minor)}
			if ask.MaintenanceWindowStartTime, err = f.weekly(cmd); err != nil {
				return err
			}
			if ask.Configuration, err = f.reference(cmd); err != nil {
				return err
			}
			if user != "" {
				password, err := c.newPassword(user)
				if err != nil {
					return err
				}
				ask.Users = []mqapi.User{{Username: user, Password: password, Groups: userGroups}}
			}
			done, err := mq.CreateBroker(cmd.Context(), ask)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is being made: %s\n", args[0], *done.BrokerID)
			if !f.wait {
				return nil
			}
			return c.awaitBroker(cmd.Context(), *done.BrokerID, nil)
		},
	}
	f.add(cmd)
	who.add(cmd)
	cmd.Flags().StringVar(&user, "first-user", "", "name of the first user")
	cmd.Flags().StringSliceVar(&userGroups, "group", nil, "group of the first user")
	return cmd
}

func (c *cli) updateBroker() *cobra.Command {
	var f brokerFlags
	plan := false
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Change a broker: mode, type, subnets, configuration, window, logs", Args: exactly(1, "the name or the id of a broker"),
		Long: "Change what is given of a broker, while it serves, and say what that costs. With --plan nothing changes.\n" +
			"Only an engine version waits for the maintenance window, or a reboot.",
		Example: "  godwit brokers update payroll --mode pair --plan\n  godwit brokers update payroll --type mq.m5.medium --wait",
		RunE: func(cmd *cobra.Command, args []string) error {
			mq, b, err := c.amazonOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if f.groups, err = c.groupIDs(cmd.Context(), f.groups); err != nil {
				return err
			}
			ask := &mqapi.UpdateBrokerRequest{BrokerID: b.ID, HostInstanceType: given(cmd, "type", f.kind), EngineVersion: given(cmd, "engine-version", f.version), StorageSize: given(cmd, "storage", f.storage), Logs: f.logs(cmd),
				AutoMinorVersionUpgrade: given(cmd, "auto-minor-version-upgrade", f.minor), SubnetIDs: f.subnets, SecurityGroups: f.groups, DeploymentMode: given(cmd, "mode", deploymentMode(f.mode)), Plan: given(cmd, "plan", plan)}
			if ask.MaintenanceWindowStartTime, err = f.weekly(cmd); err != nil {
				return err
			}
			if ask.Configuration, err = f.reference(cmd); err != nil {
				return err
			}
			done, err := mq.UpdateBroker(cmd.Context(), ask)
			if err != nil {
				return err
			}
			words := "it costs: "
			if plan {
				words = "it would cost: "
			}
			if done.Cost != nil {
				fmt.Fprintln(c.out, words+*done.Cost)
			}
			if plan || !f.wait {
				return nil
			}
			return c.awaitBroker(cmd.Context(), b.ID, b.Last)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&plan, "plan", false, "change nothing: say what it would cost")
	return cmd
}

func (c *cli) deleteBroker() *cobra.Command {
	yes, wait := false, false
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Remove a broker with all its messages", Args: exactly(1, "the name or the id of a broker"),
		RunE: func(cmd *cobra.Command, args []string) error {
			mq, b, err := c.amazonOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if !yes {
				if !terminal(c.in) {
					return &usageError{errors.New("all messages of the broker go with it: say --yes where nobody can be asked")}
				}
				if !c.agrees(fmt.Sprintf("Broker %s goes, with all its messages. Remove it? [y/N] ", b.Name)) {
					return errSilent
				}
			}
			if _, err := mq.DeleteBroker(cmd.Context(), &mqapi.DeleteBrokerRequest{BrokerID: b.ID}); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is being removed\n", b.Name)
			if !wait {
				return nil
			}
			return c.awaitBroker(cmd.Context(), b.ID, b.Last)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is gone, and show each step")
	return cmd
}

// awaitBroker shows each step of what is at work on a broker until it is done, or the broker is gone. before is how the operation before ended, which is nobody's fault now; nil: there was none.
func (c *cli) awaitBroker(ctx context.Context, id string, before *api.BrokerOutcome) error {
	remote, err := c.remote()
	if err != nil {
		return err
	}
	begun, shown := time.Now(), ""
	say := func(text string) {
		if text != shown {
			fmt.Fprintf(c.out, "%6.1fs  %s\n", time.Since(begun).Seconds(), text)
			shown = text
		}
	}
	for {
		b, err := remote.Broker(ctx, id)
		var refused *api.Error
		switch {
		case errors.As(err, &refused) && refused.Code == "not found":
			say("it is gone")
			return nil
		case err != nil:
			return err
		}
		op := b.Operation
		switch {
		case op == nil && b.State == string(mqapi.BrokerStateRunning):
			if b.Last != nil && b.Last.Error != "" && (before == nil || !b.Last.Ended.Equal(before.Ended)) {
				return fmt.Errorf("%s was rolled back: %s", b.Last.Operation, b.Last.Error)
			}
			say("it runs; active: " + cmp.Or(strings.TrimPrefix(b.Active, b.ID+"-"), "-"))
			return nil
		case op != nil && op.At < len(op.Steps):
			text := fmt.Sprintf("%s, step %d of %d: %s", op.Kind, op.At+1, len(op.Steps), printable(op.Steps[op.At]))
			if op.Error != "" {
				text += " (" + printable(op.Error) + ")"
			}
			say(text)
		case op == nil && b.State == string(mqapi.BrokerStateCreationFailed):
			return fmt.Errorf("%s: %s", b.State, b.Problem)
		case op == nil: // it is being repaired, or waits for somebody
			say(strings.TrimSuffix(b.State+": "+printable(b.Problem), ": "))
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *cli) brokerUsers() *cobra.Command {
	root := &cobra.Command{Use: "users", Short: "List, make, change and remove the users of a broker", Args: exactly(1, "list, create, update or delete"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return &usageError{fmt.Errorf("%q is not known; expected list, create, update or delete", args[0])}
		}}
	type row struct {
		Name   string   `json:"username"`
		Groups []string `json:"groups"`
	}
	l := &listing[row]{sort: "name", columns: []column[row]{{"name", func(v row) any { return v.Name }}, {"groups", func(v row) any { return strings.Join(v.Groups, " ") }}}}
	output := ""
	list := &cobra.Command{
		Use: "list BROKER", Short: "List the users of a broker", Args: exactly(1, "the name or the id of a broker"),
		RunE: func(cmd *cobra.Command, args []string) error {
			mq, b, err := c.amazonOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var rows []row
			for _, name := range b.Users {
				u, err := mq.DescribeUser(cmd.Context(), &mqapi.DescribeUserRequest{BrokerID: b.ID, Username: name})
				if err != nil {
					return err
				}
				rows = append(rows, row{Name: name, Groups: u.Groups})
			}
			return l.print(c.out, rows, output)
		},
	}
	l.flags(list, &output)
	var groups []string
	create := &cobra.Command{
		Use: "create BROKER USER", Short: "Make a user, who can log in at once; the password is asked for", Args: exactly(2, "the name or the id of a broker, and a user's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			mq, b, err := c.amazonOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			password, err := c.newPassword(args[1])
			if err != nil {
				return err
			}
			if err := mq.CreateUser(cmd.Context(), &mqapi.CreateUserRequest{BrokerID: b.ID, Username: args[1], Password: password, Groups: groups}); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s can log in to %s\n", args[1], b.Name)
			return nil
		},
	}
	create.Flags().StringSliceVarP(&groups, "group", "g", nil, "group of the user")
	ask := false
	update := &cobra.Command{
		Use: "update BROKER USER", Short: "Change a user's groups, or the password", Args: exactly(2, "the name or the id of a broker, and a user's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			mq, b, err := c.amazonOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			change := &mqapi.UpdateUserRequest{BrokerID: b.ID, Username: args[1]}
			if cmd.Flags().Changed("group") {
				change.Groups = append([]string{}, groups...)
			}
			if ask {
				password, err := c.newPassword(args[1])
				if err != nil {
					return err
				}
				change.Password = &password
			}
			if change.Groups == nil && change.Password == nil {
				return &usageError{errors.New("there is nothing to change: give --group or --password")}
			}
			if err := mq.UpdateUser(cmd.Context(), change); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is changed\n", args[1])
			return nil
		},
	}
	update.Flags().StringSliceVarP(&groups, "group", "g", nil, "groups of the user, in place of those that are there")
	update.Flags().BoolVar(&ask, "password", false, "ask for a new password")
	remove := &cobra.Command{
		Use: "delete BROKER USER", Short: "Remove a user, whose connections end", Args: exactly(2, "the name or the id of a broker, and a user's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			mq, b, err := c.amazonOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := mq.DeleteUser(cmd.Context(), &mqapi.DeleteUserRequest{BrokerID: b.ID, Username: args[1]}); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is removed\n", args[1])
			return nil
		},
	}
	root.AddCommand(list, create, update, remove)
	return root
}

func (c *cli) configurations() *cobra.Command {
	var who amazonFlags
	type row struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		Version  string `json:"engineVersion"`
		Revision int32  `json:"latestRevision"`
		About    string `json:"description"`
	}
	l := &listing[row]{sort: "name", columns: []column[row]{{"id", func(v row) any { return v.ID }}, {"name", func(v row) any { return v.Name }}, {"version", func(v row) any { return v.Version }},
		{"revision", func(v row) any { return int64(v.Revision) }}, {"description", func(v row) any { return v.About }}}}
	output := ""
	root := &cobra.Command{
		Use: "configurations", Short: "List the configurations of the service's brokers; show, make, change and compare them", Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, args []string) error {
			mq, err := c.amazon(&who)
			if err != nil {
				return err
			}
			var rows []row
			for ask := (&mqapi.ListConfigurationsRequest{MaxResults: new(int32(100))}); ; {
				page, err := mq.ListConfigurations(cmd.Context(), ask)
				if err != nil {
					return err
				}
				for _, v := range page.Configurations {
					rows = append(rows, row{v.ID, v.Name, v.EngineVersion, v.LatestRevision.Revision, v.Description})
				}
				if ask.NextToken = page.NextToken; ask.NextToken == nil {
					return l.print(c.out, rows, output)
				}
			}
		},
	}
	l.flags(root, &output)
	who.add(root)
	root.AddCommand(c.createConfiguration(&who), c.updateConfiguration(&who), c.showConfiguration(&who), c.configurationRevisions(&who), c.diffConfiguration(&who))
	return root
}

func (c *cli) createConfiguration(who *amazonFlags) *cobra.Command {
	version, file := "", ""
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a configuration, empty or of an activemq.xml", Args: exactly(1, "the name of the configuration"),
		RunE: func(cmd *cobra.Command, args []string) error {
			mq, err := c.amazon(who)
			if err != nil {
				return err
			}
			text, err := xmlOf(file)
			if err != nil {
				return err
			}
			done, err := mq.CreateConfiguration(cmd.Context(), &mqapi.CreateConfigurationRequest{Name: args[0], EngineType: mqapi.EngineTypeActiveMQ, EngineVersion: given(cmd, "engine-version", version)})
			if err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is made: %s\n", args[0], *done.ID)
			if file == "" {
				return nil
			}
			return c.putConfiguration(cmd.Context(), mq, *done.ID, text, nil)
		},
	}
	cmd.Flags().StringVar(&version, "engine-version", "", "engine version")
	cmd.Flags().StringVarP(&file, "file", "f", "", "activemq.xml with its content, as its second revision")
	return cmd
}

// xmlOf reads a file that was named.
func xmlOf(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the configuration: %w", err)
	}
	return base64.StdEncoding.EncodeToString(data), nil
}

func (c *cli) putConfiguration(ctx context.Context, mq *amazon.Client, id, data string, about *string) error {
	done, err := mq.UpdateConfiguration(ctx, &mqapi.UpdateConfigurationRequest{ConfigurationID: id, Data: data, Description: about})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s has revision %d\n", id, done.LatestRevision.Revision)
	for _, w := range done.Warnings {
		at := ""
		for _, part := range []*string{w.ElementName, w.AttributeName} {
			if part != nil {
				at += " " + *part
			}
		}
		fmt.Fprintf(c.err, "warning:%s: %s\n", printable(at), w.Reason)
	}
	return nil
}

func (c *cli) updateConfiguration(who *amazonFlags) *cobra.Command {
	file, about := "", ""
	cmd := &cobra.Command{
		Use: "update ID", Short: "Make a new revision of a configuration; brokers keep theirs", Args: exactly(1, "the id of a configuration"),
		Long:    "Make a new revision of a configuration. Nothing changes for any broker: `godwit brokers update NAME --configuration ID:REVISION` brings it into force.",
		Example: "  godwit configurations update c-0123 --file activemq.xml --description 'more memory for topics'",
		RunE: func(cmd *cobra.Command, args []string) error {
			mq, err := c.amazon(who)
			if err != nil {
				return err
			}
			if file == "" {
				return &usageError{errors.New("--file names the new content")}
			}
			text, err := xmlOf(file)
			if err != nil {
				return err
			}
			return c.putConfiguration(cmd.Context(), mq, args[0], text, given(cmd, "description", about))
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "activemq.xml with the new content")
	cmd.Flags().StringVar(&about, "description", "", "what is new")
	return cmd
}

// revision is a configuration's XML; 0: the latest revision.
func (c *cli) revision(ctx context.Context, mq *amazon.Client, id string, number int) (text string, of int, err error) {
	if number == 0 {
		v, err := mq.DescribeConfiguration(ctx, &mqapi.DescribeConfigurationRequest{ConfigurationID: id})
		if err != nil {
			return "", 0, err
		}
		number = int(v.LatestRevision.Revision)
	}
	v, err := mq.DescribeConfigurationRevision(ctx, &mqapi.DescribeConfigurationRevisionRequest{ConfigurationID: id, ConfigurationRevision: strconv.Itoa(number)})
	if err != nil {
		return "", 0, err
	}
	data, err := base64.StdEncoding.DecodeString(*v.Data)
	return string(data), number, err
}

func (c *cli) showConfiguration(who *amazonFlags) *cobra.Command {
	number := 0
	cmd := &cobra.Command{
		Use: "show ID", Short: "Print a revision of a configuration", Args: exactly(1, "the id of a configuration"),
		RunE: func(cmd *cobra.Command, args []string) error {
			mq, err := c.amazon(who)
			if err != nil {
				return err
			}
			text, _, err := c.revision(cmd.Context(), mq, args[0], number)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.out, strings.TrimRight(text, "\n"))
			return nil
		},
	}
	cmd.Flags().IntVar(&number, "revision", 0, "revision (default: the latest)")
	return cmd
}

func (c *cli) configurationRevisions(who *amazonFlags) *cobra.Command {
	type row = mqapi.ConfigurationRevision
	l := &listing[row]{sort: "-revision", columns: []column[row]{{"revision", func(v row) any { return int64(v.Revision) }}, {"created", func(v row) any { return v.Created.Local().Format("2006-01-02 15:04:05") }},
		{"description", func(v row) any {
			if v.Description == nil {
				return ""
			}
			return *v.Description
		}}}}
	output := ""
	cmd := &cobra.Command{
		Use: "revisions ID", Short: "List the revisions of a configuration", Args: exactly(1, "the id of a configuration"),
		RunE: func(cmd *cobra.Command, args []string) error {
			mq, err := c.amazon(who)
			if err != nil {
				return err
			}
			var rows []row
			for ask := (&mqapi.ListConfigurationRevisionsRequest{ConfigurationID: args[0], MaxResults: new(int32(100))}); ; {
				page, err := mq.ListConfigurationRevisions(cmd.Context(), ask)
				if err != nil {
					return err
				}
				rows = append(rows, page.Revisions...)
				if ask.NextToken = page.NextToken; ask.NextToken == nil {
					return l.print(c.out, rows, output)
				}
			}
		},
	}
	l.flags(cmd, &output)
	return cmd
}

func (c *cli) diffConfiguration(who *amazonFlags) *cobra.Command {
	from, to := 0, 0
	cmd := &cobra.Command{
		Use: "diff ID", Short: "Show what differs between two revisions of a configuration", Args: exactly(1, "the id of a configuration"),
		RunE: func(cmd *cobra.Command, args []string) error {
			mq, err := c.amazon(who)
			if err != nil {
				return err
			}
			after, number, err := c.revision(cmd.Context(), mq, args[0], to)
			if err != nil {
				return err
			}
			if from == 0 {
				from = max(number-1, 1)
			}
			before, _, err := c.revision(cmd.Context(), mq, args[0], from)
			if err != nil {
				return err
			}
			name := func(n int) string { return fmt.Sprintf("%s:%d", args[0], n) }
			_, err = c.out.Write(diff.Diff(name(from), []byte(before), name(number), []byte(after)))
			return err
		},
	}
	cmd.Flags().IntVar(&from, "from", 0, "revision (default: the one before)")
	cmd.Flags().IntVar(&to, "to", 0, "revision (default: the latest)")
	return cmd
}

// extrasFile is where botocore looks for additions to the model of Amazon MQ's API that it has.
var extrasFile = filepath.Join("mq", "2017-11-27", "service-2.sdk-extras.json")

func (c *cli) awsExtras() *cobra.Command {
	return &cobra.Command{
		Use: "aws-extras DIR", Short: "Write what teaches AWS's command line and boto3 what is Godwit's own", Args: exactly(1, "a folder, for AWS_DATA_PATH"),
		Long: "Write a file into a folder that AWS_DATA_PATH names. With it the AWS command line and boto3 know the operations and fields of this service that Amazon MQ has not:\n" +
			"aws mq switchover-broker, which instance is active, what a change would cost.",
		Example: "  godwit aws-extras ~/.godwit-aws\n  export AWS_DATA_PATH=~/.godwit-aws\n  aws mq switchover-broker --broker-id b-0123",
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := mqapi.BotocoreExtras()
			if err != nil {
				return err
			}
			path := filepath.Join(args[0], extrasFile)
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				return fmt.Errorf("make the folder: %w", err)
			}
			if err := os.WriteFile(path, append(text, '\n'), 0o666); err != nil {
				return fmt.Errorf("write the additions: %w", err)
			}
			folder, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(c.out, "export AWS_DATA_PATH=%s\n", folder)
			return nil
		},
	}
}
