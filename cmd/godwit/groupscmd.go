package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
)

// parseRules reads rules as api.ParseNetworkRule does.
func parseRules(texts []string) (list []api.NetworkRule, err error) {
	for _, text := range texts {
		r, err := api.ParseNetworkRule(text)
		if err != nil {
			return nil, &usageError{err}
		}
		list = append(list, r)
	}
	return list, nil
}

// group finds a security group by its name or id.
func group(ctx context.Context, remote *client.Client, name string) (*api.SecurityGroup, error) {
	all, err := remote.SecurityGroups(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(g api.SecurityGroup) bool { return g.ID != name && g.Name != name })
	switch len(all) {
	case 0:
		return nil, fmt.Errorf("there is no security group of the name or id %q; godwit security-groups lists them", name)
	case 1:
		return &all[0], nil
	}
	return nil, fmt.Errorf("several accounts or regions have a security group %q: give its id, as godwit security-groups shows it", name)
}

// groupIDs are the ids of groups that were given by name or id. None at all stays nil, an empty name is none.
func (c *cli) groupIDs(ctx context.Context, names []string) ([]string, error) {
	if names == nil {
		return nil, nil
	}
	remote, err := c.remote()
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, name := range names {
		if name == "" {
			continue
		}
		g, err := group(ctx, remote, name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, g.ID)
	}
	return ids, nil
}

func (c *cli) securityGroups() *cobra.Command {
	type row = api.SecurityGroup
	l := &listing[row]{sort: "name", columns: []column[row]{
		{"name", func(v row) any { return v.Name }},
		{"id", func(v row) any { return v.ID }},
		{"account", func(v row) any { return v.Account }},
		{"brokers", func(v row) any { return int64(len(v.Brokers)) }},
		{"rules", func(v row) any {
			words := make([]string, len(v.Rules))
			for i, r := range v.Rules {
				words[i] = r.String()
			}
			return strings.Join(words, " ")
		}},
		{"description", func(v row) any { return v.Description }},
	}}
	cmd := lister(c, &cobra.Command{
		Use: "security-groups", Short: "List the security groups: from where clients may connect to brokers; make, change and remove them",
		Long: "List the security groups. A broker lets in what any rule of any of its groups lets in; one without groups lets in everybody. A change counts at once: connections that are not\n" +
			"allowed any more are closed, others feel nothing.",
	}, l, func(ctx context.Context, r *client.Client) ([]row, error) { return r.SecurityGroups(ctx) })
	cmd.AddCommand(c.createSecurityGroup(), c.updateSecurityGroup(), c.deleteSecurityGroup())
	return cmd
}

func (c *cli) createSecurityGroup() *cobra.Command {
	var ask api.NewSecurityGroup
	var rules []string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a security group", Args: exactly(1, "the name of the security group"),
		Example: "  godwit security-groups create offices --rule 10.1.0.0/16 --rule 192.168.7.0/24:61617",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ask.Name = args[0]
			if ask.Rules, err = parseRules(rules); err != nil {
				return err
			}
			remote, err := c.remote()
			if err != nil {
				return err
			}
			g, err := remote.CreateSecurityGroup(cmd.Context(), ask)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is made: %s\n", g.Name, g.ID)
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&rules, "rule", nil, "network that may connect, maybe to a port or a range of ports only; may be repeated")
	cmd.Flags().StringVar(&ask.Description, "description", "", "for people: what it is for")
	cmd.Flags().StringVar(&ask.Account, "account", "", "account, twelve digits (default: service.account of the configuration)")
	cmd.Flags().StringVar(&ask.Region, "region", "", "region (default: service.region of the configuration)")
	return cmd
}

func (c *cli) updateSecurityGroup() *cobra.Command {
	var add, remove, all []string
	name, about := "", ""
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Change a security group, at once for all brokers that have it", Args: exactly(1, "the name or the id of a security group"),
		Example: "  godwit security-groups update offices --add 10.2.0.0/16 --remove 192.168.7.0/24:61617",
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			g, err := group(cmd.Context(), remote, args[0])
			if err != nil {
				return err
			}
			ask := api.ChangeSecurityGroup{Name: given(cmd, "name", name), Description: given(cmd, "description", about)}
			rules := g.Rules
			if cmd.Flags().Changed("rule") {
				if rules, err = parseRules(all); err != nil {
					return err
				}
			}
			more, err := parseRules(add)
			if err != nil {
				return err
			}
			less, err := parseRules(remove)
			if err != nil {
				return err
			}
			for _, r := range less {
				before := len(rules)
				if rules = slices.DeleteFunc(rules, func(x api.NetworkRule) bool { return x.String() == r.String() }); len(rules) == before {
					return fmt.Errorf("%s has no rule %s; nothing was changed", g.Name, r)
				}
			}
			if cmd.Flags().Changed("rule") || len(more)+len(less) > 0 {
				ask.Rules = new(append(rules, more...))
			}
			if ask.Name == nil && ask.Description == nil && ask.Rules == nil {
				return &usageError{errors.New("there is nothing to change: give --add, --remove, --rule, --name or --description")}
			}
			if _, err := remote.UpdateSecurityGroup(cmd.Context(), g.ID, ask); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is changed; brokers that have it: %d\n", g.Name, len(g.Brokers))
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&add, "add", nil, "rule to add; may be repeated")
	cmd.Flags().StringSliceVar(&remove, "remove", nil, "rule to remove; may be repeated")
	cmd.Flags().StringSliceVar(&all, "rule", nil, "rules in place of all that are there; may be repeated")
	cmd.Flags().StringVar(&name, "name", "", "new name")
	cmd.Flags().StringVar(&about, "description", "", "for people: what it is for")
	return cmd
}

func (c *cli) deleteSecurityGroup() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Remove a security group that no broker has", Args: exactly(1, "the name or the id of a security group"),
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			g, err := group(cmd.Context(), remote, args[0])
			if err != nil {
				return err
			}
			if err := remote.DeleteSecurityGroup(cmd.Context(), g.ID); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is removed\n", g.Name)
			return nil
		},
	}
}

func (c *cli) instanceTypes() *cobra.Command {
	type row = api.InstanceType
	l := &listing[row]{sort: "memory", columns: []column[row]{
		{"type", func(v row) any { return v.Name }},
		{"vcpu", func(v row) any { return int64(v.VCPU) }},
		{"memory", func(v row) any { return v.MemoryBytes }},
		{"connections", func(v row) any { return int64(v.Connections) }},
		{"storage gb", func(v row) any { return int64(v.StorageGB) }},
		{"own", func(v row) any {
			if v.Own {
				return "yes"
			}
			return ""
		}},
	}}
	cmd := lister(c, &cobra.Command{
		Use: "instance-types", Short: "List the instance types that brokers can have; make and remove your own",
		Long: "List the instance types: what an instance may use. Memory is what its process may take, connections are those of each protocol, storage is that of a broker that does not say how much it wants.",
	}, l, func(ctx context.Context, r *client.Client) ([]row, error) { return r.InstanceTypes(ctx) })
	cmd.AddCommand(c.putInstanceType(), c.deleteInstanceType())
	return cmd
}

func (c *cli) putInstanceType() *cobra.Command {
	var t api.InstanceType
	memory := ""
	cmd := &cobra.Command{
		Use: "put NAME", Short: "Make an instance type of your own, or change one, at once for the brokers that have it", Args: exactly(1, "the name of the type, which begins with mq."),
		Example: "  godwit instance-types put mq.own.tiny --memory 256MiB --connections 50 --storage 5",
		RunE: func(cmd *cobra.Command, args []string) error {
			size, err := config.ParseSize(memory)
			if err != nil {
				return &usageError{fmt.Errorf("--memory: %w", err)}
			}
			t.Name, t.MemoryBytes = args[0], int64(size)
			remote, err := c.remote()
			if err != nil {
				return err
			}
			if err := remote.PutInstanceType(cmd.Context(), t); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "brokers can have %s\n", t.Name)
			return nil
		},
	}
	cmd.Flags().StringVar(&memory, "memory", "1GiB", "what an instance may take")
	cmd.Flags().IntVar(&t.Connections, "connections", 300, "connections of each protocol, at most")
	cmd.Flags().IntVar(&t.StorageGB, "storage", 20, "GB of storage of a broker that does not say how much it wants")
	cmd.Flags().IntVar(&t.VCPU, "vcpu", 0, "processors, which are shown and not limited")
	return cmd
}

func (c *cli) deleteInstanceType() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Remove an instance type of your own that no broker has", Args: exactly(1, "the name of the type"),
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			if err := remote.DeleteInstanceType(cmd.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is removed\n", args[0])
			return nil
		},
	}
}
