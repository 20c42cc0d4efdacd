/** A product category as the API shows it. */
interface ProductCategory {
  readonly label: string;
  readonly value: string;
  readonly products: readonly { readonly label: string; readonly value: string }[];
}

/** What `GET /accounts/{id}/logs/audit/product_categories` answers. No list of Cloudflare's own is public; this one covers what happens here. */
export const productCategories: readonly ProductCategory[] = [
  category('Account Management', 'account', { Accounts: 'accounts', Members: 'members', 'API Tokens': 'api_tokens' }),
  category('DNS', 'dns', { 'DNS Records': 'dns_records' }),
  category('Zones', 'zones', { Zones: 'zones', 'Zone Settings': 'zone_settings', Cache: 'cache', 'SSL/TLS': 'ssl' }),
  category('Application Security', 'security', { Rulesets: 'rulesets' }),
  category('Developer Platform', 'workers', { Workers: 'workers', R2: 'r2', Pages: 'pages' }),
  category('Zero Trust', 'zerotrust', { Access: 'access', Gateway: 'gateway' }),
  category('User Profile', 'user', { User: 'user', Logins: 'login', Memberships: 'memberships' }),
];

function category(label: string, value: string, products: Readonly<Record<string, string>>): ProductCategory {
  return {
    label,
    value,
    products: Object.entries(products).map(([name, product]) => ({ label: name, value: product })),
  };
}

/** The products of a category, in any letter case; undefined when there is no such category. */
export function productsOf(name: string): readonly string[] | undefined {
  const wanted = name.toLowerCase();
  return productCategories.find(({ value }) => value === wanted)?.products.map(({ value }) => value);
}
