import type { Severity } from './finding.ts';

export interface DetectionRule {
  /** Its view is `detection_` and this. */
  readonly name: string;
  readonly severity: Severity;
  readonly what: string;
  /** Expected false positives. */
  readonly alsoFinds: string;
  /** File of the Sigma rule; undefined: Sigma cannot express it. */
  readonly sigma: string | undefined;
}

/** A test compares them with docs/detections.md and with the view `detections`. */
export const detectionRules: readonly DetectionRule[] = [
  {
    name: 'api_token_changed',
    severity: 'medium',
    what: 'An API token or key created, changed, rolled or deleted: a way in that outlives a password',
    alsoFinds: 'rotation on a schedule; tokens of other products below a path …/tokens (AI Search, MoQ relays)',
    sigma: 'deploy/sigma/cloudflare_api_token_changed.yml',
  },
  {
    name: 'member_added',
    severity: 'medium',
    what: 'A member added to an organization, an account or a group, or invited, or created by SCIM',
    alsoFinds: 'new colleagues',
    sigma: 'deploy/sigma/cloudflare_member_added.yml',
  },
  {
    name: 'super_administrator_added',
    severity: 'high',
    what: 'A super administrator: a member added or changed whose role is named so or has its id, or one added to an organization without a role',
    alsoFinds: 'any change of a member who is one already; one who loses the role, if the answer still names it',
    sigma: 'deploy/sigma/cloudflare_super_administrator_added.yml',
  },
  {
    name: 'sso_or_mfa_changed',
    severity: 'high',
    what: 'Single sign-on, an identity provider, or the demand for a second factor set, changed or removed',
    alsoFinds:
      'every update of an account that sends all its settings, enforce_twofactor among them, whatever it changes; Access policies with mfa_ settings',
    sigma: 'deploy/sigma/cloudflare_sso_or_mfa_changed.yml',
  },
  {
    name: 'delete_burst',
    severity: 'high',
    what: '10 deletes by one actor in one organization within 5 minutes',
    alsoFinds: 'Terraform and other tools that tidy up',
    sigma: 'deploy/sigma/cloudflare_delete_burst.yml',
  },
  {
    name: 'failure_burst',
    severity: 'medium',
    what: '10 failed actions by one actor in one organization within 5 minutes: probing',
    alsoFinds: 'a pipeline without a permission; trouble at Cloudflare',
    sigma: 'deploy/sigma/cloudflare_failure_burst.yml',
  },
  {
    name: 'sign_in_without_sso',
    severity: 'high',
    what: 'A user signed in without SSO, though a user with an address of the same e-mail domain signed in with it in the 31 days before',
    alsoFinds: 'super administrators who use their way around SSO when it fails',
    sigma: undefined,
  },
  {
    name: 'sign_in_from_new_network',
    severity: 'medium',
    what: 'A user who signed in within the last 31 days did so from a network that none of these sign-ins was from',
    alsoFinds: 'travel, mobile networks, a new provider',
    sigma: undefined,
  },
  {
    name: 'api_token_wide_scope',
    severity: 'high',
    what: 'An API token created or changed that is for all accounts or all zones, or that may make tokens',
    alsoFinds: 'tools that manage every zone',
    sigma: 'deploy/sigma/cloudflare_api_token_wide_scope.yml',
  },
  {
    name: 'protection_removed',
    severity: 'high',
    what: 'A firewall or WAF rule, a ruleset, a rate limit, a Gateway rule, or an Access application, policy or group deleted',
    alsoFinds: 'Terraform, which replaces some rules by deleting them',
    sigma: 'deploy/sigma/cloudflare_protection_removed.yml',
  },
  {
    name: 'dns_records_deleted',
    severity: 'high',
    what: 'A batch of changes that deletes DNS records, or a zone deleted',
    alsoFinds: 'tools that change DNS in batches; a batch that deletes one record',
    sigma: 'deploy/sigma/cloudflare_dns_records_deleted.yml',
  },
  {
    name: 'worker_secret_or_route_changed',
    severity: 'medium',
    what: 'A secret, a route or a domain of a Worker set, changed or removed',
    alsoFinds: 'deployments that set them; other things of Workers with these words in their names',
    sigma: 'deploy/sigma/cloudflare_worker_secret_or_route_changed.yml',
  },
  {
    name: 'scim_changed',
    severity: 'medium',
    what: 'A user or a group created, changed or deleted through SCIM, by an identity provider or with its token',
    alsoFinds: 'colleagues who come, go and change teams',
    sigma: 'deploy/sigma/cloudflare_scim_changed.yml',
  },
  {
    name: 'cloudflare_staff',
    severity: 'medium',
    what: "Cloudflare's own staff did something",
    alsoFinds: 'support that you asked for',
    sigma: 'deploy/sigma/cloudflare_cloudflare_staff.yml',
  },
  {
    name: 'collector_token',
    severity: 'critical',
    what: "The collector's own token used for more than reading, or touched",
    alsoFinds: 'its planned rotation',
    sigma: 'deploy/sigma/cloudflare_collector_token.yml',
  },
];

export const ruleNamed = (name: string): DetectionRule | undefined => detectionRules.find((rule) => rule.name === name);
