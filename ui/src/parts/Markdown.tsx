import ReactMarkdown from "react-markdown";
import rehypeSanitize, { defaultSchema } from "rehype-sanitize";
import remarkGfm from "remark-gfm";
import { printable } from "../format";
import styles from "./parts.module.css";

// No images: a picture's address tells another host who looks. Links lead out only by https, and tell nobody from where.
const schema = {
  ...defaultSchema,
  tagNames: (defaultSchema.tagNames ?? []).filter(
    (name) => !["img", "input", "picture", "source"].includes(name),
  ),
  protocols: { ...defaultSchema.protocols, href: ["https", "http", "mailto"] },
};

/** Text of a model or a tool as markdown. HTML in it stays text. */
export function Markdown({ text }: { text: string }) {
  return (
    <div className={styles.markdown}>
      <ReactMarkdown
        remarkPlugins={[remarkGfm]}
        rehypePlugins={[[rehypeSanitize, schema]]}
        components={{
          a: ({ href, children }) => (
            <a href={href} target="_blank" rel="noreferrer noopener nofollow">
              {children}
            </a>
          ),
        }}
      >
        {printable(text)}
      </ReactMarkdown>
    </div>
  );
}
