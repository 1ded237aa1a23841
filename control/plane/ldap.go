package plane

// LDAP says where a broker's users are beside its own, in the words of Amazon MQ's ldapServerMetadata. The wire layer checks filters and names.
type LDAP struct {
	Hosts              []string `json:"hosts"`
	AccountName        string   `json:"serviceAccountUsername"`
	AccountPassword    string   `json:"serviceAccountPassword"` // in clear, since instances log in with it; never shown
	UserBase           string   `json:"userBase"`
	UserSearchMatching string   `json:"userSearchMatching"`
	UserSearchSubtree  bool     `json:"userSearchSubtree,omitempty"`
	UserRoleName       string   `json:"userRoleName,omitempty"`
	RoleBase           string   `json:"roleBase"`
	RoleName           string   `json:"roleName,omitempty"`
	RoleSearchMatching string   `json:"roleSearchMatching"`
	RoleSearchSubtree  bool     `json:"roleSearchSubtree,omitempty"`
}

// check bounds what a broker's row holds.
func (l *LDAP) check() error {
	if l == nil {
		return nil
	}
	if !between(len(l.Hosts), 1, 2) {
		return bad("ldapServerMetadata.hosts", "there are one or two hosts")
	}
	for name, value := range map[string]string{"serviceAccountUsername": l.AccountName, "serviceAccountPassword": l.AccountPassword, "userBase": l.UserBase, "userSearchMatching": l.UserSearchMatching,
		"roleBase": l.RoleBase, "roleSearchMatching": l.RoleSearchMatching} {
		if !between(len(value), 1, 1024) {
			return bad("ldapServerMetadata", "%s has 1 to 1,024 characters", name)
		}
	}
	for _, value := range append([]string{l.UserRoleName, l.RoleName}, l.Hosts...) {
		if len(value) > 256 {
			return bad("ldapServerMetadata", "hosts, userRoleName and roleName have at most 256 characters")
		}
	}
	return nil
}
