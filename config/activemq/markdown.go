package activemq

import (
	"fmt"
	"strings"
)

const intro = `# Import of activemq.xml

<!-- Made from the rules of the package config/activemq: go test ./config/activemq -update writes it. -->

` + "```sh" + `
godwit import /opt/activemq/conf/activemq.xml -o godwit.yaml
godwit config check --config godwit.yaml
godwit serve --config godwit.yaml
` + "```" + `

turns the configuration of an ActiveMQ Classic broker into Godwit's and tells of **each element and each attribute** what became of it:

- **mapped**: a key of godwit.yaml says it now;
- **same by default**: Godwit does so without being told, and godwit.yaml says nothing;
- **not needed**: there is nothing to say to Godwit, and why;
- **not supported**: Godwit cannot do it, or not yet, and what to do about it. What is unknown is here too, with the nearest known name.

What is not supported and **matters** says who may do what, where messages end up, or whether they survive. If there is any, the exit code is 1, unless ` + "`--force`" + ` is given;
godwit.yaml is written all the same, and begins with a list of what it does not say. ` + "`--report json`" + ` writes all items for programs.

What is read:

- Spring's form with its imports, any prefix of ActiveMQ's namespace, and Amazon MQ's form (without transports: add ` + "`listeners`" + `).
- ` + "`${NAME}`" + ` and ` + "`${NAME:DEFAULT}`" + `, if the file has a bean for them as ActiveMQ demands: from ` + "`-D NAME=VALUE`" + `, the bean's property files, the environment, and the folders that
  ActiveMQ's start script sets (` + "`activemq.conf`" + ` is the folder of activemq.xml). Values ` + "`ENC(...)`" + ` cannot be decrypted here: give them with ` + "`-D`" + `.
- ` + "`login.config`" + ` beside activemq.xml, with the users' and groups' files of PropertiesLoginModule and TextFileCertificateLoginModule, and GuestLoginModule. Passwords become argon2id hashes,
  so godwit.yaml holds none. Of a user without a password that can be read only the name is told.
- ` + "`jetty.xml`" + ` with ` + "`jetty-realm.properties`" + `, and 6.3's ` + "`jetty-spring.xml`" + ` with ` + "`conf/jetty`" + `: the address of the API, and who may use it.
- Key stores and trust stores (PKCS12 and JKS): certificate, key and authorities are written as PEM files beside godwit.yaml, readable for their owner only.

A policyEntry's open attributes have ActiveMQ's defaults, those of the sections at the top of godwit.yaml; the import leaves these at theirs. What holds for the whole broker in
ActiveMQ (the plugins for time stamps, dead letters and redeliveries by default, offlineDurableSubscriberTimeout) is in the sections at the top. ActiveMQ keeps policies and redelivery
policies in two maps: where their patterns differ, the import makes an entry for each.

KahaDB's files are not read: messages move over through clients.

`

// Markdown is docs/import.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(intro)
	for _, t := range tables() {
		fmt.Fprintf(&b, "## %s\n\n| element or attribute | verdict | key in godwit.yaml, remark |\n| --- | --- | --- |\n", t.title)
		for _, r := range t.rules {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.NewReplacer("?", "@uri ?").Replace(r.on), r.word(), r.remark())
		}
		b.WriteByte('\n')
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func (r *rule) word() string {
	word := string(r.verdict)
	if r.verdict == NotSupported && !r.harmless {
		word += ", **matters**"
	}
	if r.whole {
		word += ", with all in it"
	}
	if r.usual != "" {
		word = fmt.Sprintf("`%s`: same by default; else %s", r.usual, word)
	}
	return word
}

func (r *rule) remark() string {
	var parts []string
	if r.key != "" {
		parts = append(parts, "`"+strings.ReplaceAll(r.key, ", ", "`, `")+"`")
	}
	if r.words != "" {
		parts = append(parts, strings.ReplaceAll(r.words, "|", "\\|"))
	}
	return strings.Join(parts, ": ")
}
