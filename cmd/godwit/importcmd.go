package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/config/activemq"
)

// importFlags are what godwit import is told.
type importFlags struct {
	out        string
	report     string
	properties []string
	force      bool
	overwrite  bool
}

func (c *cli) importing() *cobra.Command {
	f := importFlags{}
	cmd := &cobra.Command{
		Use:   "import activemq.xml",
		Short: "Turn the configuration of an ActiveMQ broker into " + config.FileName,
		Long: "Turn the configuration of an ActiveMQ broker into " + config.FileName + ", with the files it names: properties, login.config, users and groups, jetty.xml, key stores.\n\n" +
			"Each element and each attribute is told: mapped, same by default, not needed (why), or not supported (what to do). The exit code is 1 if something that is not supported " +
			"says who may do what, where messages end up, or whether they survive. See docs/import.md.",
		Args: exactly(1, "the file activemq.xml"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.importFile(args[0], f) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.out, "out", "o", config.FileName, "file to write; - is standard output, and the report goes to standard error")
	flags.StringVar(&f.report, "report", "table", "table for people, json for programs")
	flags.StringArrayVarP(&f.properties, "define", "D", nil, "NAME=VALUE for ${NAME}; may be given several times")
	flags.BoolVar(&f.force, "force", false, "exit code 0 even if something that matters is not supported")
	flags.BoolVar(&f.overwrite, "overwrite", false, "write over files that are there")
	return cmd
}

func (c *cli) importFile(path string, f importFlags) error {
	if f.report != "table" && f.report != "json" {
		return &usageError{fmt.Errorf("report %q is not known; expected table or json", f.report)}
	}
	options := activemq.Options{Properties: map[string]string{}, Environ: os.Environ(), Name: "godwit"}
	for _, pair := range f.properties {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return &usageError{fmt.Errorf("-D %q: expected NAME=VALUE", pair)}
		}
		options.Properties[name] = value
	}
	folder := "."
	if f.out != "-" {
		folder = filepath.Dir(f.out)
		options.Name = strings.TrimSuffix(filepath.Base(f.out), filepath.Ext(f.out))
	}
	result, err := activemq.Import(path, options)
	if err != nil {
		return err
	}
	if err := c.writeImport(result, path, folder, f); err != nil {
		return err
	}
	if n := len(result.Matters()); n > 0 && !f.force {
		fmt.Fprintf(c.err, "godwit: %d of what is not supported matters; --force accepts that\n", n)
		return errSilent
	}
	return nil
}

// writeImport writes godwit.yaml, what belongs to it, and the report.
func (c *cli) writeImport(result *activemq.Result, source, folder string, f importFlags) error {
	yaml := result.YAML(filepath.Base(source))
	report := c.out
	if f.out == "-" {
		report = c.err
		if _, err := c.out.Write(yaml); err != nil {
			return err
		}
	}
	files := result.Files
	if f.out != "-" {
		files = append(files, activemq.File{Name: filepath.Base(f.out), Data: yaml})
	}
	instead := "--overwrite writes over it"
	if f.overwrite {
		instead = ""
	}
	if err := writeFiles(folder, files, instead); err != nil {
		return err
	}
	if err := writeReport(report, result, f.report); err != nil {
		return err
	}
	if f.report == "table" {
		for _, file := range files {
			fmt.Fprintf(report, "wrote %s\n", filepath.Join(folder, file.Name))
		}
	}
	return nil
}

func writeReport(w io.Writer, result *activemq.Result, form string) error {
	if form == "json" {
		return printJSON(w, result.Items)
	}
	return result.Report(w)
}
