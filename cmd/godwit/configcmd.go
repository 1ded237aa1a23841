package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (c *cli) config() *cobra.Command {
	root := &cobra.Command{Use: "config", Short: "Check the configuration, or print it",
		Args: exactly(1, "check or print"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return &usageError{fmt.Errorf("%q is not known; expected check or print", args[0])}
		}}
	var check, show serveFlags
	checking := &cobra.Command{
		Use: "check", Short: "Say all that is wrong with the configuration, with file, line and column", Args: exactly(0, "no arguments; --config names the file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := check.load()
			if err != nil {
				return err
			}
			if _, err := policyOf(cfg); err != nil {
				return err
			}
			if cfg.File() == "" {
				fmt.Fprintln(c.out, "there is no configuration file; the defaults hold")
				return nil
			}
			fmt.Fprintln(c.out, cfg.File()+" is fine")
			return nil
		},
	}
	check.bind(checking)
	var comments bool
	printing := &cobra.Command{
		Use: "print", Short: "Print the configuration that serve would use, without secrets", Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := show.load()
			if err != nil {
				return err
			}
			_, err = c.out.Write(cfg.YAML(comments, false))
			return err
		},
	}
	show.bind(printing)
	printing.Flags().BoolVar(&comments, "comments", false, "explain every key: a file to start from")
	root.AddCommand(checking, printing)
	return root
}
